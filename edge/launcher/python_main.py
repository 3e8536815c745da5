"""Runs the main of a Python container so that it listens where the platform wants it, not where its author thought.

Containers of the PyPI package `opaca` call `uvicorn.run` with the port of their description, all of one image with the
same. This program lets them listen on loopback, on the port that the platform chose, and changes nothing else. Used as
`python python_main.py 8082:20001,9000:20002 main.py ARGUMENTS`, or with `-m MODULE` in place of the script: the first
pair is the API's port, in the container's eyes and on this machine. It needs nothing but the standard library of
Python 3.8, as it may run on another Python than the platform does.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def main() -> None:
    """Take the own arguments off, prepare for uvicorn, run what is left as `__main__`."""
    if sys.path and sys.path[0] == __file__.rpartition("/")[0]:
        # Modules beside this file must never be found in place of others.
        del sys.path[0]
    pairs = [pair.split(":") for pair in sys.argv[1].split(",")]
    ports = {int(own): int(host) for own, host in pairs}
    api_port = int(pairs[0][1])
    del sys.argv[0:2]
    changes = {"uvicorn.main": _run_elsewhere(ports, api_port), "uvicorn.config": _move(ports, api_port)}
    sys.meta_path.insert(0, _Finder(changes))
    if sys.argv[0] == "-m":
        _run_module()
    else:
        _run_script(sys.argv[0])


def _run_module() -> None:
    import os
    import runpy

    del sys.argv[0]
    _first_on_path(os.getcwd())  # noqa: PTH109 - pathlib would stay in memory for nothing
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _run_script(path: str) -> None:
    import os
    from importlib.machinery import ModuleSpec, SourceFileLoader
    from importlib.util import module_from_spec

    if os.path.isdir(path) or path.endswith((".zip", ".pyz", ".pyc")):  # noqa: PTH112
        import runpy

        runpy.run_path(path, run_name="__main__")
        return
    _first_on_path(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    loader = SourceFileLoader("__main__", path)
    spec = ModuleSpec("__main__", loader, origin=path)
    spec.has_location = True
    module = module_from_spec(spec)
    # A script has no specification; multiprocessing would take it for a module that can be imported by its name.
    module.__spec__ = None
    sys.modules["__main__"] = module
    loader.exec_module(module)


def _first_on_path(folder: str) -> None:
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path.insert(0, folder)


class _Finder:
    """Changes a few modules right after they were imported; costs nothing for those that are not."""

    def __init__(self, changes: dict[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        change = self._changes.pop(name, None)
        if change is None:
            return None
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, change)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads as another loader does, and changes the module then."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _run_elsewhere(ports: dict[int, int], api_port: int) -> Callable[[Any], None]:
    """Return what makes `uvicorn.run` listen where the platform wants it."""

    def change(module: Any) -> None:
        original = module.run

        def run(app: Any, **settings: Any) -> None:
            port = ports.get(settings.get("port"), api_port)  # type: ignore[arg-type]
            if port == api_port:
                settings["host"] = "127.0.0.1"
            for other in ("uds", "fd"):
                settings.pop(other, None)
            settings["port"] = port
            original(app, **settings)

        module.run = run

    return change


def _move(ports: dict[int, int], api_port: int) -> Callable[[Any], None]:
    """Return what moves servers that are made without `run` from a declared port to the one it was given."""

    def change(module: Any) -> None:
        original = module.Config.__init__

        def __init__(self: Any, *positional: Any, **settings: Any) -> None:
            original(self, *positional, **settings)
            if self.uds is None and self.fd is None and self.port in ports and self.port not in ports.values():
                self.port = ports[self.port]
                if self.port == api_port:
                    self.host = "127.0.0.1"

        module.Config.__init__ = __init__

    return change


if __name__ == "__main__":
    main()
