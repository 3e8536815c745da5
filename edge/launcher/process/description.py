"""What the platform alone decides about a container's description (contract, 8.3, Q20 and Decision 8)."""

from __future__ import annotations

from msgspec.structs import replace

from edge.launcher.base import Order
from edge.launcher.process.plan import Plan
from edge.launcher.process.ports import HostPorts
from edge.model.descriptions import AgentContainer, Connectivity, ImageParameter


def as_shown(
    reported: AgentContainer, order: Order, plan: Plan, ports: HostPorts, connectivity: Connectivity
) -> AgentContainer:
    """Return what a container says of itself, with the platform's ID, owner and ports, and without secrets."""
    return replace(
        reported,
        container_id=order.container_id,
        owner=order.owner,
        arguments={name: value for name, value in reported.arguments.items() if name not in plan.confidential},
        image=replace(
            reported.image, parameters=[_shown(parameter, plan.confidential) for parameter in reported.image.parameters]
        ),
        connectivity=replace(
            connectivity,
            api_port_mapping=ports.api,
            extra_port_mappings={
                # One that was taken over has the ports of the image as it was then.
                ports.extra[own]: description
                for own, description in plan.extra_ports.items()
                if own in ports.extra
            },
        ),
    )


def _shown(parameter: ImageParameter, confidential: frozenset[str]) -> ImageParameter:
    if parameter.confidential or parameter.name in confidential:
        return replace(parameter, confidential=True, default_value=None)
    return parameter
