// What is edited in a dialog, read anew when it opens: the version that is seen is the one that is
// changed, so that nobody's change of meanwhile is lost.

import { html } from "../frame/html.js";
import { Dialog, Problem, Waiting, useGet } from "../ui/index.js";

// *form*(data, etag) makes the dialog; of what is new, *path* is null and *data* too.
export function Current({ path, title, onClose, form }) {
  const { data, etag, error, reload } = useGet(path);
  if (path === null || data) return form(data, etag);
  return html`<${Dialog} title=${title} onClose=${onClose}>${error ? html`<${Problem} error=${error} retry=${reload} />` : html`<${Waiting} />`}<//>`;
}
