// What stands where a view fails while it is drawn: the rest of the page goes on.

import { Problem } from "../ui/state.js";
import { Component, html } from "./html.js";

export class Boundary extends Component {
  state = { error: null };

  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  componentDidUpdate(before) {
    if (before.of !== this.props.of && this.state.error) this.setState({ error: null });
  }

  render({ children, words }) {
    if (!this.state.error) return children;
    const again = () => location.reload();
    return html`<div class="page"><h1>${words}</h1><${Problem} error=${this.state.error} retry=${again} /></div>`;
  }
}
