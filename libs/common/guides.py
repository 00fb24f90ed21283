"""How each channel is connected: what its account needs, where that is found, step by step.

Source: the channels' READMEs, and the providers' own consoles as they name things (read 2026-09).
The names of menus there change; what is said here of formats is only what the providers document.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class SecretGuide(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of an account.

    Attributes:
        name: As in `Channel.secrets`.
        title: As the provider calls it.
        where: Where it is found, or what it is for.
        pattern: What it looks like, a regular expression; empty: nothing is known.
        example: Something of that form.
        strict: Whether what looks different cannot be right; else it is only unusual.
        chosen: We choose it; left out, it is drawn at random.
        typed_in: It is typed in at the provider.
    """

    name: str
    title: str
    where: str
    pattern: str = ""
    example: str = ""
    strict: bool = False
    chosen: bool = False
    typed_in: bool = False


class StepGuide(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the setup; `code` is stable, so that it can be translated."""

    code: str
    words: str


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect an account of one channel.

    Attributes:
        title: What people call the channel.
        external_id: What the provider's id of the account is, and where it is found.
        external_id_example: One such id.
        app: Whether accounts share the address of an app, which is then named by a word of ours.
        secrets: What it needs, and what it may have, in the order of a form.
        steps: What to do, in order.
    """

    title: str
    external_id: str
    external_id_example: str
    app: bool = False
    secrets: tuple[SecretGuide, ...]
    steps: tuple[StepGuide, ...]

    def secret(self, name: str) -> SecretGuide | None:
        """Return what is said of a secret."""
        return next((one for one in self.secrets if one.name == name), None)


def _steps(**words: str) -> tuple[StepGuide, ...]:
    return tuple(StepGuide(code=code, words=text) for code, text in words.items())


_HEX_32 = "[0-9a-f]{32}"
_WORD = "[A-Za-z0-9_-]{1,256}"

_META_SECRETS = (
    SecretGuide(
        name="app_secret",
        title="App secret",
        where="developers.facebook.com > your app > App settings > Basic. It signs the webhooks.",
        pattern=_HEX_32,
        example="0123456789abcdef0123456789abcdef",
    ),
    SecretGuide(
        name="verify_token",
        title="Verify token",
        where="A word of your own. Leave it out to have one made, and type it in at Meta.",
        example="3f1c9e2a",
        chosen=True,
        typed_in=True,
    ),
    SecretGuide(
        name="access_token",
        title="Access token",
        where="developers.facebook.com > your app. One of a system user does not expire.",
        example="EAAG",
    ),
    SecretGuide(
        name="app_id",
        title="App id",
        where="Beside the app secret; not secret. With it Meta tells when the token ends, so "
        "that you are warned.",
        pattern="[0-9]+",
        example="1234567890123456",
    ),
)

_META_APP = _steps(
    app="At developers.facebook.com, make an app of the type Business and add the product.",
    secrets="Copy the app secret and an access token into the form, with the account's id.",
    save="Press Connect. The webhook's address and the verify token are shown then.",
    callback="In the product's webhook settings, enter the address as callback URL, and the verify "
    "token.",
)


def _meta(title: str, external_id: str, example: str, *fields: str) -> Guide:
    named = ", ".join(fields)
    subscribe = StepGuide(code="subscribe", words=f"Subscribe the account to the fields {named}.")
    test = StepGuide(code="test", words="Press Test here, then write to the account yourself.")
    return Guide(
        title=title,
        external_id=external_id,
        external_id_example=example,
        app=True,
        secrets=_META_SECRETS,
        steps=(*_META_APP, subscribe, test),
    )


_INSTAGRAM = _meta(
    "Instagram",
    "The id of the Instagram professional account: the app's Instagram settings show it.",
    "17841400000000000",
    "messages",
    "messaging_postbacks",
    "message_reactions",
    "comments",
)

GUIDES: Mapping[str, Guide] = {
    "messenger": _meta(
        "Messenger",
        "The id of the Facebook page: the page's About tab, under page transparency.",
        "101234567890123",
        "messages",
        "messaging_postbacks",
        "message_deliveries",
        "message_reads",
        "message_echoes",
    ),
    "fb_comment": _meta(
        "Facebook comments",
        "The id of the Facebook page, the same as for Messenger.",
        "101234567890123",
        "feed",
    ),
    "instagram": msgspec.structs.replace(
        _INSTAGRAM,
        secrets=(
            *_META_SECRETS,
            SecretGuide(
                name="page_id",
                title="Page id",
                where="Only where Instagram is connected by a Facebook page: that page's id.",
                pattern="[0-9]+",
                example="101234567890123",
            ),
        ),
    ),
    "whatsapp": _meta(
        "WhatsApp",
        "The phone number id, not the number itself: the app's WhatsApp > API setup shows it.",
        "106540352242922",
        "messages",
    ),
    "line": Guide(
        title="LINE",
        external_id="The bot's own user id, U and 32 digits: userId of what GET "
        "https://api.line.me/v2/bot/info answers by the channel access token. Your user ID in LINE "
        "Developers is the developer's, not the bot's.",
        external_id_example="U0123456789abcdef0123456789abcdef",
        secrets=(
            SecretGuide(
                name="channel_secret",
                title="Channel secret",
                where="LINE Developers > your channel > Basic settings. It signs the webhooks.",
                pattern=_HEX_32,
                example="0123456789abcdef0123456789abcdef",
            ),
            SecretGuide(
                name="access_token",
                title="Channel access token",
                where="LINE Developers > your channel > Messaging API > Issue.",
                example="issued by LINE",
            ),
            SecretGuide(
                name="channel_secret_previous",
                title="Previous channel secret",
                where="The old secret, while a new one is being rolled out.",
                pattern=_HEX_32,
            ),
        ),
        steps=_steps(
            channel="At developers.line.biz, make a Messaging API channel for the account.",
            secrets="Copy the channel secret and a channel access token into the form, with the "
            "bot's user id.",
            save="Press Connect. The webhook's address is shown then.",
            callback="In Messaging API > Webhook URL, enter the address and press Verify.",
            webhook_on="Turn Use webhook on, and auto-reply and greeting messages off.",
            test="Press Test here, then write to the account yourself.",
        ),
    ),
    "wechat": Guide(
        title="WeChat",
        external_id="The account's original id (gh_...): Settings > Account info, or its app id.",
        external_id_example="gh_0123456789ab",
        secrets=(
            SecretGuide(
                name="token",
                title="Token",
                where="A word of your own, 3 to 32 letters and digits, which signs requests. Leave "
                "it out to have one made: it is shown once.",
                pattern="[A-Za-z0-9]{3,32}",
                example="5Xk2p9",
                chosen=True,
                typed_in=True,
            ),
            SecretGuide(
                name="app_secret",
                title="App secret",
                where="mp.weixin.qq.com > Basic configuration. It fetches access tokens.",
                pattern=_HEX_32,
                example="0123456789abcdef0123456789abcdef",
            ),
            SecretGuide(
                name="aes_key",
                title="EncodingAESKey",
                where="Basic configuration > server configuration. With it messages must be "
                "encrypted.",
                pattern="[A-Za-z0-9]{43}",
                example="a" * 43,
                strict=True,
                typed_in=True,
            ),
            SecretGuide(
                name="aes_key_previous",
                title="Previous EncodingAESKey",
                where="The old key, while a new one is being rolled out.",
                pattern="[A-Za-z0-9]{43}",
                strict=True,
            ),
            SecretGuide(
                name="app_id",
                title="App id",
                where="wx..., not secret. Needed to send, unless it is the account's id above.",
                example="wx0123456789abcdef",
            ),
        ),
        steps=_steps(
            account="At mp.weixin.qq.com, open Basic configuration of the Official Account.",
            secrets="Choose a token; copy app id and app secret into the form.",
            allow="Put this installation's outgoing address on the IP allow list there.",
            save="Press Connect. The webhook's address is shown then, and a token that was made "
            "for you.",
            callback="In server configuration, enter the address, the token and the "
            "EncodingAESKey; choose the secure mode.",
            test="Press Test here, then write to the account yourself.",
        ),
    ),
    "telegram": Guide(
        title="Telegram",
        external_id="The bot's user id: the number before the colon of its token.",
        external_id_example="110201543",
        secrets=(
            SecretGuide(
                name="bot_token",
                title="Bot token",
                where="BotFather tells it when the bot is made, and by /token.",
                pattern="[0-9]+:[A-Za-z0-9_-]+",
                example="110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
                strict=True,
            ),
            SecretGuide(
                name="secret_token",
                title="Secret token",
                where="A word of your own, given to setWebhook. Leave it out to have one made: it "
                "is shown once.",
                pattern=_WORD,
                example="3f1c9e2a",
                strict=True,
                chosen=True,
                typed_in=True,
            ),
            SecretGuide(
                name="secret_token_previous",
                title="Previous secret token",
                where="The old one, while a new one is being set.",
                pattern=_WORD,
                strict=True,
            ),
        ),
        steps=_steps(
            bot="Write /newbot to BotFather in Telegram, and copy the bot's token into the form.",
            save="Press Connect. The webhook's address is shown then, and a secret token that was "
            "made for you.",
            callback="Call setWebhook with the address as url and the secret token as "
            "secret_token; name every kind of update that you want in allowed_updates.",
            test="Press Test here, then write to the bot yourself.",
        ),
    ),
    "web": Guide(
        title="Web chat",
        external_id="A word of your own for the website; left out, the account's name is taken.",
        external_id_example="shop",
        secrets=(
            SecretGuide(
                name="visitor_key",
                title="Visitor key",
                where="Signs who is who. Leave it out to have one made; changing it makes every "
                "visitor a new one.",
                example="left out",
                chosen=True,
            ),
            SecretGuide(
                name="identity_secret",
                title="Identity secret",
                where="Only to prove who is logged in on your website: your server signs with it.",
            ),
        ),
        steps=_steps(
            save="Press Connect. The key is made for you.",
            script="Put the script tag that is shown then into the pages of your website.",
            test="Press Test here, then open a page of your website and write.",
        ),
    ),
}
