// What stands in the list: one entry an alert id, the newest word of it, until it is cleared or has
// expired. Words are ordered by their place in the stream.

const REMEMBERED = 500;

export class Alerts {
  #items = new Map(); // id -> { alert, place }
  #gone = new Map(); // id of what was cleared or dismissed -> place of its last word

  // Answers what became of it: raised, updated, cleared, or "" where it is old news.
  apply(alert, place) {
    const { id, kind } = alert;
    const known = this.#items.get(id);
    if ((known?.place ?? -1) >= place || (this.#gone.get(id) ?? -1) >= place) return "";
    if (kind === "cleared") this.#leave(id, place);
    else if (kind === "updated" && this.#gone.has(id)) return "";
    else this.#items.set(id, { alert, place });
    return kind;
  }

  dismiss(id) {
    if (this.#items.has(id)) this.#leave(id, this.#items.get(id).place);
  }

  // Takes away what is not worth telling any more; answers its ids.
  expire(now) {
    const over = this.list().filter(({ expires_at }) => Date.parse(expires_at) <= now);
    over.forEach(({ id }) => this.dismiss(id));
    return over.map(({ id }) => id);
  }

  // Newest first.
  list() {
    const alerts = [...this.#items.values()].map(({ alert }) => alert);
    return alerts.sort((one, two) => (one.at < two.at ? 1 : -1));
  }

  // All of it, to hand to another page.
  whole() {
    return { items: [...this.#items], gone: [...this.#gone] };
  }

  take({ items, gone }) {
    this.#items = new Map(items);
    this.#gone = new Map(gone);
  }

  #leave(id, place) {
    this.#items.delete(id);
    this.#gone.delete(id);
    this.#gone.set(id, place);
    if (this.#gone.size > REMEMBERED) this.#gone.delete(this.#gone.keys().next().value);
  }
}
