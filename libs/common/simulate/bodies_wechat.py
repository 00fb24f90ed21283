"""WeChat's webhook bodies, in plain XML; `signing` seals them where the account says so."""

from __future__ import annotations

from xml.sax.saxutils import escape

from libs.common.channel import Account
from libs.common.simulate.said import Build, Said, link


def wechat(account: Account, said: Said, **fields: str) -> bytes:
    """Return a WeChat message."""
    common = {
        "ToUserName": account.external_id,
        "FromUserName": said.visitor,
        "CreateTime": str(said.s),
    }
    inner = "".join(
        f"<{name}>{escape(value)}</{name}>" for name, value in {**common, **fields}.items()
    )
    return f"<xml>{inner}</xml>".encode()


def _event(name: str, **fields: str) -> Build:
    return lambda a, s: wechat(a, s, MsgType="event", Event=name, **fields)


def _media(kind: str, word: str, **fields: str) -> Build:
    return lambda a, s: wechat(
        a, s, MsgType=kind, MediaId=f"{word}-{s.token(12)}", **fields, MsgId=s.message_id
    )


def _picture(account: Account, said: Said) -> bytes:
    media_id = f"image-{said.token(12)}"
    where = link(account, f"{media_id}.jpg")
    return wechat(
        account, said, MsgType="image", PicUrl=where, MediaId=media_id, MsgId=said.message_id
    )


WECHAT: dict[str, Build] = {
    "text": lambda a, s: wechat(a, s, MsgType="text", Content=s.text, MsgId=s.message_id),
    "image": _picture,
    "audio": _media("voice", "voice", Format="amr"),
    "voice": _media("voice", "voice", Format="amr", Recognition="hello"),
    "video": _media("video", "video", ThumbMediaId="image-thumb"),
    "video_short": _media("shortvideo", "video", ThumbMediaId="image-thumb"),
    "location": lambda a, s: wechat(
        a,
        s,
        MsgType="location",
        Location_X="13.75",
        Location_Y="100.5",
        Scale="15",
        Label=s.text,
        MsgId=s.message_id,
    ),
    "share": lambda a, s: wechat(
        a,
        s,
        MsgType="link",
        Title=s.text,
        Description="A lamp",
        Url="https://shop.example/p/7",
        MsgId=s.message_id,
    ),
    "mini_program": lambda a, s: wechat(
        a,
        s,
        MsgType="miniprogrampage",
        Title=s.text,
        AppId="wx1",
        PagePath="pages/lamp",
        ThumbUrl=link(a, "image-thumb.jpg"),
        MsgId=s.message_id,
    ),
    "menu_reply": lambda a, s: wechat(
        a, s, MsgType="text", Content=s.text, bizmsgmenuid="HUMAN", MsgId=s.message_id
    ),
    "postback": _event("CLICK", EventKey="HUMAN"),
    "view": _event("VIEW", EventKey="https://shop.example/", MenuId="1"),
    "follow": _event("subscribe"),
    "referral": _event("subscribe", EventKey="qrscene_spring", Ticket="T1"),
    "unfollow": _event("unsubscribe"),
    "scan": _event("SCAN", EventKey="spring", Ticket="T1"),
    "location_report": _event("LOCATION", Latitude="13.75", Longitude="100.5", Precision="40"),
    "delivered": lambda a, s: wechat(
        a, s, MsgType="event", Event="TEMPLATESENDJOBFINISH", MsgID=s.about, Status="success"
    ),
    "failed": lambda a, s: wechat(
        a,
        s,
        MsgType="event",
        Event="TEMPLATESENDJOBFINISH",
        MsgID=s.about,
        Status="failed:user block",
    ),
    "handover": _event("kf_create_session", KfAccount="agent1@gh_demo"),
    "handover_closed": _event("kf_close_session", KfAccount="agent1@gh_demo"),
}
