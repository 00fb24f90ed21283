// A soft sound for a new answer. A browser lets a page sound only after somebody has clicked in it.

export class Chime {
  #context = null;

  // From a click or a key: makes it possible.
  unlock() {
    try {
      this.#context ??= new AudioContext();
      this.#context.resume().catch(() => {});
    } catch {} // a browser without sound
  }

  play() {
    if (this.#context?.state !== "running") return;
    this.#tone(0, 880);
    this.#tone(0.12, 1174.7);
    document.dispatchEvent(new CustomEvent("relaydesk:sounded"));
  }

  #tone(begin, frequency) {
    const at = this.#context.currentTime + begin;
    const oscillator = new OscillatorNode(this.#context, { type: "sine", frequency });
    const gain = new GainNode(this.#context, { gain: 0 });
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.2, at + 0.01);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.5);
    oscillator.connect(gain).connect(this.#context.destination);
    oscillator.start(at);
    oscillator.stop(at + 0.5);
  }
}
