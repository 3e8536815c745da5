"""How an attached container is doing, for the operator."""

from __future__ import annotations

from edge.launcher.attachment import Attachment
from edge.launcher.base import ContainerState, ContainerStatus


def status_of(attachment: Attachment) -> ContainerStatus:
    """Return the status of a container; the URL is told by its connectivity, the token by nobody."""
    image = attachment.description.image.image_name
    state, since, reason = ContainerState.RUNNING, attachment.since, ""
    if attachment.road is None:
        state, reason = ContainerState.SLEEPING, "it only reports and is never called"
    elif attachment.away is not None:
        state, since, reason = ContainerState.AWAY, attachment.away.since, attachment.away.reason
    return ContainerStatus(
        id=attachment.container_id,
        name=attachment.record.key or image,
        image=image,
        launcher="attached",
        state=state,
        reason=reason,
        since=since,
        attached_by=attachment.attached_by,
    )
