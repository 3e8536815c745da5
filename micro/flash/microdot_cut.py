"""Microdot for a board: what no container uses is left out, which halves what it costs of the heap."""

from __future__ import annotations

import ast

# By class ("" is the module). `opaca_micro.rest` listens, reads requests and writes answers itself, within bounds;
# files, cookies, forms and sub-applications have no place on a board.
_UNUSED = {
    "": {"AsyncBytesIO", "MultiDict", "urldecode", "urlencode", "redirect", "send_file"},
    "NoCaseDict": {"__delitem__", "update"},
    "Request": {
        "create", "stream", "form", "files", "after_request", "_parse_urlencoded", "_safe_readline", "max_readline",
        "max_body_length",
    },
    "Response": {
        "set_cookie", "delete_cookie", "redirect", "send_file", "send_file_buffer_size", "types_map", "complete",
        "default_send_file_max_age", "default_content_type", "write", "body_iter",
    },
    "URLPattern": {"register_type", "__repr__"},
    "HTTPException": {"__repr__"},
    "Microdot": {
        "put", "patch", "delete", "query", "before_request", "after_request", "after_error_request", "mount",
        "start_server", "run", "shutdown", "handle_request",
    },
}  # fmt: skip


def cut(source: str) -> str:
    """Return microdot's source without what is not used; names that it does not have (any more) are passed over."""
    tree = ast.parse(source)
    tree.body = _kept(tree.body, _UNUSED[""])
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            node.body = _kept(node.body, _UNUSED.get(node.name, set()))
    return ast.unparse(tree)


def _kept(body: list[ast.stmt], unused: set[str]) -> list[ast.stmt]:
    return [node for node in body if not _names(node) & unused] or [ast.Pass()]


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()
