"""Routes: standard messages, their folders, and taking them in a session."""

from __future__ import annotations

from services.desk.api import (
    act,
    folder_body,
    folder_order,
    folders,
    jobs,
    standard_body,
    standard_files,
    standard_list,
    standard_messages,
    standard_pick,
    standard_preview,
)
from services.desk.api.pouring import XLSX_TYPE
from services.desk.api.route import LARGE_BODY, Route

_KEY = {"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"}
_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_STALE = "changed_meanwhile: If-Match names another version"
_BUSY = "changed_meanwhile: too many changes at once"
_CHANGED = {409: _BUSY, 412: _STALE}
_TAKEN = "name_taken: another folder has it, `facts.id`"

_FOLDERS: tuple[Route, ...] = (
    Route(
        name="folders",
        method="GET",
        path="/standard-messages/folders",
        handler=folders.folders,
        role="read_only",
        summary="Folders of standard messages that the caller sees, in order",
        query=folder_body.FolderQuery,
        answers={200: folder_body.FolderList},
    ),
    Route(
        name="create_folder",
        method="POST",
        path="/standard-messages/folders",
        handler=folders.create,
        role="lead",
        summary="Make a folder, for some channels, teams and users or for all",
        body=folder_body.NewFolder,
        answers={200: folder_body.FolderView, 201: folder_body.FolderView},
        headers=_KEY,
        problems={
            409: f"{_TAKEN}; idempotency_conflict: the key was used for another one; too_many: "
            "there are 499 already"
        },
    ),
    Route(
        name="order_folders",
        method="PUT",
        path="/standard-messages/folders/order",
        handler=folder_order.order_folders,
        role="lead",
        summary="Order the folders",
        body=folder_body.FolderOrder,
        answers={200: folder_body.Ordered},
        problems={409: _BUSY},
    ),
    Route(
        name="folder",
        method="GET",
        path="/standard-messages/folders/{id}",
        handler=folders.folder,
        role="read_only",
        summary="One folder; ETag names its version",
        answers={200: folder_body.FolderView},
    ),
    Route(
        name="patch_folder",
        method="PATCH",
        path="/standard-messages/folders/{id}",
        handler=folders.patch,
        role="lead",
        summary="Rename a folder, move it, or change who sees it",
        body=folder_body.FolderPatch,
        answers={200: folder_body.FolderView},
        headers=_MATCH,
        problems={409: f"{_TAKEN}; {_BUSY}", 412: _STALE},
    ),
    Route(
        name="delete_folder",
        method="DELETE",
        path="/standard-messages/folders/{id}",
        handler=folder_order.delete,
        role="lead",
        summary="Delete a folder with all of its messages, once that is confirmed",
        query=folder_body.DeleteQuery,
        answers={200: folder_body.FolderGone},
        headers=_MATCH,
        problems={
            409: "confirmation_required: repeat with `confirm` set to `facts.token`; "
            "`facts.count` messages go with it",
            412: _STALE,
        },
    ),
    Route(
        name="order_folder",
        method="PUT",
        path="/standard-messages/folders/{id}/order",
        handler=folder_order.order_messages,
        role="lead",
        summary="Order the messages of a folder; `none`: of those in no folder",
        body=folder_body.ItemOrder,
        body_most=LARGE_BODY,
        answers={200: folder_body.Ordered},
        problems={409: _BUSY},
    ),
)

_MESSAGES: tuple[Route, ...] = (
    Route(
        name="standard_messages",
        method="GET",
        path="/standard-messages",
        handler=standard_list.standard_messages,
        role="read_only",
        summary="Standard messages that the caller sees, by title, by place, or by use",
        query=standard_body.StandardQuery,
        answers={200: standard_body.StandardList},
    ),
    Route(
        name="create_standard_message",
        method="POST",
        path="/standard-messages",
        handler=standard_messages.create,
        role="lead",
        summary="Make a standard message",
        body=standard_body.NewStandardMessage,
        answers={200: standard_body.StandardView, 201: standard_body.StandardView},
        headers=_KEY,
        problems={
            409: "idempotency_conflict: the key was used for another one; too_many: there are "
            "5,000 already"
        },
    ),
    Route(
        name="standard_message",
        method="GET",
        path="/standard-messages/{id}",
        handler=standard_messages.standard_message,
        role="read_only",
        summary="One standard message; ETag names its version",
        answers={200: standard_body.StandardView},
    ),
    Route(
        name="patch_standard_message",
        method="PATCH",
        path="/standard-messages/{id}",
        handler=standard_messages.patch,
        role="lead",
        summary="Change or move a standard message; what was scheduled with it stays as it was",
        body=standard_body.StandardPatch,
        answers={200: standard_body.StandardView},
        headers=_MATCH,
        problems=_CHANGED,
    ),
    Route(
        name="delete_standard_message",
        method="DELETE",
        path="/standard-messages/{id}",
        handler=standard_messages.delete,
        role="lead",
        summary="Delete a standard message",
        answers={204: None},
        headers=_MATCH,
        problems=_CHANGED,
    ),
)

_NO_WORKBOOK = {
    409: "idempotency_conflict: the key was used for another file",
    413: "too_large: `facts.limit_bytes` says how much is taken, or it has too many rows or cells",
    415: "not_a_workbook: its content is neither .xlsx nor .xls, whatever its name",
    422: "The header is wrong; damaged, encrypted, empty, no_sheet: it cannot be read",
    429: "too_many: so many jobs wait already",
}
_FULL = {429: "too_many: two files are on their way to the caller already"}

_FILES: tuple[Route, ...] = (
    Route(
        name="standard_messages_template",
        method="GET",
        path="/standard-messages/template.xlsx",
        handler=standard_files.template,
        role="lead",
        summary="A workbook to fill in and import: the header and one row",
        answers={200: bytes},
        media=(XLSX_TYPE,),
        problems=_FULL,
    ),
    Route(
        name="export_standard_messages",
        method="GET",
        path="/standard-messages/export.xlsx",
        handler=standard_files.export,
        role="lead",
        summary="Every text with its folder, as the import takes it",
        answers={200: bytes},
        media=(XLSX_TYPE,),
        problems=_FULL,
    ),
    Route(
        name="import_standard_messages",
        method="POST",
        path="/standard-messages/import",
        handler=standard_files.start_import,
        role="lead",
        summary="Import an .xlsx or .xls workbook as a job, or try what would come of it",
        query=standard_files.ImportQuery,
        uploads=True,
        answers={202: jobs.JobView},
        headers=_KEY,
        problems=_NO_WORKBOOK,
    ),
)

_PICKING: tuple[Route, ...] = (
    Route(
        name="pick_standard_messages",
        method="GET",
        path="/sessions/{id}/standard-messages",
        handler=standard_pick.pick,
        role="read_only",
        summary="Standard messages for this session and caller, found while they type",
        query=standard_pick.PickQuery,
        answers={200: standard_pick.PickList},
    ),
    Route(
        name="preview_standard_message",
        method="POST",
        path="/standard-messages/preview",
        handler=standard_preview.preview,
        role="agent",
        summary="How a text with variables would read; nothing is kept",
        body=standard_preview.PreviewBody,
        answers={200: standard_preview.Previewed},
    ),
    Route(
        name="render_standard_message",
        method="POST",
        path="/sessions/{id}/standard-messages/{item}/render",
        handler=standard_pick.render,
        role="agent",
        summary="Fill a standard message in for this contact and agent, and count the pick",
        body=act.Nothing,
        body_optional=True,
        answers={200: standard_pick.Rendered},
        headers=_KEY,
    ),
)

ROUTES: tuple[Route, ...] = (*_FOLDERS, *_FILES, *_MESSAGES, *_PICKING)
