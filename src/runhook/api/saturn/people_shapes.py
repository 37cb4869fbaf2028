"""The JSON shapes of the organisation, its owners and their limits, as the compatible contract has
them."""

import uuid
from typing import Any

from runhook.api.shapes import group_json, instant, owner_json, stamp, user_json
from runhook.model.people import Owner
from runhook.services.organization import Organization, OwnerView
from runhook.services.site import Server

LIMITS = (
    "instance_sizes resource_types token_factory_enabled num_instances auto_shutoff storage_in_gb "
    "num_shared_folders object_storage_bytes object_storage_count hours_per_day hours_per_month "
    "hours_forever"
).split()


def org_json(org: Organization) -> dict[str, Any]:
    """An `Org`."""
    return {
        "id": org.id,
        "name": org.name,
        "created_at": stamp(org.created_at),
        "avatar_url": "",
        "email": f"{org.name}@localhost.invalid",
        "description": "",
        "website_url": None,
        "logo_image_url": "",
        "limits_id": None,
        "limits": None,
        "is_primary": True,
        "locked": False,
        "locked_reason": "",
    }


def no_limits_json(org: Organization) -> dict[str, Any]:
    """`UsageLimits` that limit nothing."""
    return {
        "id": org.id,
        "org_id": org.id,
        "created_at": instant(org.created_at),
        "name": "none",
        "is_default": True,
        **dict.fromkeys(LIMITS),
    }


def owner_view_json(server: Server, org: Organization, view: OwnerView) -> dict[str, Any]:
    """An `OwnerDetailed`; of a person, an `OwnerUserDetailed` too."""
    user, group = view.user, view.group
    return {
        **owner_json(server, view.owner.name, view.created_at, view.owner),
        "org_admin": bool(user and user.admin),
        "limits_id": None,
        "limits": None,
        "org": org_json(org),
        "user": user_json(user, view.created_at) if user else None,
        "group": group_json(group) if group else None,
    }


def usable_owner_json(
    server: Server, org: Organization, owner: Owner, person: OwnerView
) -> dict[str, Any]:
    """An owner that a person may use, with their role on it, as an `OwnerUserDetailed`: `user` is
    that person, also where the owner is a group (`group_id`) or somebody who shares."""
    mine = owner_view_json(server, org, person)
    shown = owner_json(server, owner.name, person.created_at, owner)
    return {**mine, **shown, "user_id": mine["user_id"], "role": owner.role}


def group_member_json(group_id: str, user_id: str, created_at: str) -> dict[str, Any]:
    """A `GroupMember`."""
    name = f"member/{group_id}/{user_id}"
    return {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, name).hex,
        "created_at": created_at,
        "user_id": user_id,
        "group_id": group_id,
    }
