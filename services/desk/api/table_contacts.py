"""Routes: contacts, what people note of them, and the tags they are sorted by."""

from __future__ import annotations

from services.desk.api import contact_edit, contact_tags, contact_view, contacts, tags
from services.desk.api.act import Nothing
from services.desk.api.route import Route

_IF_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_KEY = {"Idempotency-Key": "A repeat with the same key makes nothing new"}
_BUSY = "changed_meanwhile: others change it all the time"
_STALE = "changed_meanwhile: If-Match names another version"
_TAKEN = "name_taken: another tag has the name, `facts.id`"
_MERGED = "merged: it is part of another, `facts.into`"
_REF = "ref_taken: another contact has the ref, `facts.id`"

ROUTES: tuple[Route, ...] = (
    Route(
        name="all_tags",
        method="GET",
        path="/tags",
        handler=tags.tags,
        role="read_only",
        summary="Every tag of contacts, by name",
        answers={200: tags.TagList},
    ),
    Route(
        name="create_tag",
        method="POST",
        path="/tags",
        handler=tags.create,
        role="agent",
        summary="Make a tag",
        body=tags.NewTag,
        answers={201: tags.TagView, 200: tags.TagView},
        headers=_KEY,
        problems={409: f"{_TAKEN}; too_many; idempotency_conflict: the key made another"},
    ),
    Route(
        name="tag",
        method="GET",
        path="/tags/{id}",
        handler=tags.tag,
        role="read_only",
        summary="One tag, and how many contacts hold it",
        answers={200: tags.TagDetail},
    ),
    Route(
        name="patch_tag",
        method="PATCH",
        path="/tags/{id}",
        handler=tags.patch,
        role="lead",
        summary="Rename or recolour a tag: every contact shows it so",
        body=tags.TagPatch,
        answers={200: tags.TagView},
        headers=_IF_MATCH,
        problems={409: f"{_TAKEN}; {_BUSY}", 412: _STALE},
    ),
    Route(
        name="delete_tag",
        method="DELETE",
        path="/tags/{id}",
        handler=tags.delete,
        role="lead",
        summary="Delete a tag: no contact shows it any more",
        answers={204: None},
        headers=_IF_MATCH,
        problems={
            409: f"in_use: `facts.used_by` are broadcasts that still choose by it; {_BUSY}",
            412: _STALE,
        },
    ),
    Route(
        name="contacts",
        method="GET",
        path="/contacts",
        handler=contacts.contacts,
        role="read_only",
        summary="Contacts by tag, channel, language, address, number and first sight",
        query=contacts.ContactQuery,
        answers={200: contacts.ContactList},
    ),
    Route(
        name="create_contact",
        method="POST",
        path="/contacts",
        handler=contact_edit.create,
        role="agent",
        summary="Make a contact by hand",
        body=contact_edit.NewContact,
        answers={201: contact_view.ContactView, 200: contact_view.ContactView},
        headers=_KEY,
        problems={409: f"{_REF}; idempotency_conflict: the key made another"},
    ),
    Route(
        name="tag_contacts",
        method="POST",
        path="/contacts/tags",
        handler=contact_tags.tag_contacts,
        role="agent",
        summary="Add and take tags of many contacts",
        body=contact_tags.ContactTags,
        answers={200: contact_tags.ContactsTagged},
    ),
    Route(
        name="contact",
        method="GET",
        path="/contacts/{id}",
        handler=contacts.contact,
        role="read_only",
        summary="A contact with tags, fields, identities and newest sessions",
        answers={200: contact_view.ContactView},
    ),
    Route(
        name="patch_contact",
        method="PATCH",
        path="/contacts/{id}",
        handler=contact_edit.patch,
        role="agent",
        summary="Change what is known of a contact",
        body=contact_edit.ContactPatch,
        answers={200: contact_view.ContactView},
        headers=_IF_MATCH,
        problems={409: f"too_many: fields; {_REF}; {_MERGED}; {_BUSY}", 412: _STALE},
    ),
    Route(
        name="add_contact_tag",
        method="PUT",
        path="/contacts/{id}/tags/{tag}",
        handler=contacts.add_tag,
        role="agent",
        summary="Give a contact a tag; twice is once",
        body=Nothing,
        body_optional=True,
        answers={200: contact_view.ContactView},
        headers=_IF_MATCH,
        problems={409: f"too_many: tags of the contact; {_MERGED}; {_BUSY}", 412: _STALE},
    ),
    Route(
        name="take_contact_tag",
        method="DELETE",
        path="/contacts/{id}/tags/{tag}",
        handler=contacts.take_tag,
        role="agent",
        summary="Take a tag off a contact; what is off stays so",
        answers={200: contact_view.ContactView},
        headers=_IF_MATCH,
        problems={409: f"{_MERGED}; {_BUSY}", 412: _STALE},
    ),
)
