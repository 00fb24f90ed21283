// The pane in the middle: one session's head, its timeline and the composer.

import { call } from "../frame/api.js";
import { classes, html, useEffect, useMemo, useRef, useState } from "../frame/html.js";
import { may } from "../frame/me.js";
import { t } from "../frame/words.js";
import { contactName } from "../frame/who.js";
import { Empty, Icon, Problem, Waiting } from "../ui/index.js";
import { Composer } from "./composer.js";
import { Header } from "./header.js";
import { onAccepted } from "./outbox.js";
import { Thread, isBarred } from "./thread.js";
import { TimelineBox } from "./timeline.js";

const FRESH_MS = 60_000;
let accounts = null; // GET /accounts: names, what channels carry, templates
let asked = 0;

function useAccount(slug) {
  const [all, put] = useState([]);
  useEffect(() => {
    if (!accounts || Date.now() - asked > FRESH_MS) {
      asked = Date.now();
      accounts = call("GET", "/accounts").catch(() => {
        accounts = null;
        return { items: [] };
      });
    }
    accounts.then(({ items }) => put(items));
  }, [slug]);
  return all.find((one) => one.slug === slug);
}

// `unread`: what the row beside it says of it.
// `aside`: what the inbox has at the end of the head.
export function Conversation({ session, unread = 0, aside = null }) {
  const thread = useMemo(() => new Thread(session), [session]);
  thread.opened(unread);
  useEffect(() => {
    thread.begin();
    const end = onAccepted((item, entry) => item.session === thread.id && thread.put(entry));
    return () => {
      end();
      thread.close();
    };
  }, [thread]);
  return html`<${Opened} key=${session} thread=${thread} aside=${aside} />`;
}

function Opened({ thread, aside }) {
  const row = thread.session.value;
  const error = thread.error.value;
  const account = useAccount(row?.account ?? "");
  const [quoted, quote] = useState(null);
  const [over, hover] = useState(false);
  const drop = useRef(null);
  if (!row && error && isBarred(error)) return html`<section class="talk"><${Empty} icon="circle-x" title=${t("talk.gone")}>${t("talk.gone.text")}<//></section>`;
  if (!row && error) return html`<section class="talk"><${Problem} error=${error} retry=${() => thread.read()} /></section>`;
  if (!row) return html`<section class="talk"><${Waiting} /></section>`;
  const writes = may("agent");
  const has = (event) => writes && [...(event.dataTransfer?.types ?? [])].includes("Files");
  const dragged = (event) => {
    if (!has(event)) return;
    event.preventDefault();
    hover(true);
  };
  const left = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) hover(false);
  };
  const dropped = (event) => {
    if (!has(event)) return;
    event.preventDefault();
    hover(false);
    drop.current?.(event.dataTransfer.files);
  };
  return html`<section class=${classes("talk", over && "over")} data-session=${thread.id} aria-label=${t("talk.pane", { name: contactName(row.contact) })}
    onDragEnter=${dragged} onDragOver=${dragged} onDragLeave=${left} onDrop=${dropped}>
    <${Header} thread=${thread} account=${account} aside=${aside} />
    <${TimelineBox} thread=${thread} onReply=${quote} />
    ${writes ? html`<${Composer} thread=${thread} account=${account} quoted=${quoted} onQuote=${quote} drop=${drop} />` : html`<p class="talk-reader"><${Icon} name="eye" size=${15} /> ${t("talk.readonly")}</p>`}
    ${over && html`<p class="talk-drop"><${Icon} name="upload" size=${30} /><span>${t("talk.drop")}</span></p>`}
  </section>`;
}
