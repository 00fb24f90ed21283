import { html } from "../frame/html.js";
import { Page } from "../ui/index.js";

export default function View() {
  return html`<${Page} title="" />`;
}
