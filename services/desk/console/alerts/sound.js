// Sounds, made on the spot. A browser lets a page sound only after somebody has clicked in it.

// Each is a list of tones: begin (s), frequency (Hz), length (s), strength, wave.
const SOUNDS = {
  chime: [
    [0, 880, 0.5, 0.5, "sine"],
    [0.12, 1174.7, 0.7, 0.5, "sine"],
  ],
  bell: [
    [0, 1046.5, 1.2, 0.5, "sine"],
    [0, 2093, 0.6, 0.2, "sine"],
    [0, 3139.5, 0.3, 0.1, "sine"],
  ],
  knock: [
    [0, 180, 0.09, 0.9, "triangle"],
    [0.16, 160, 0.09, 0.9, "triangle"],
  ],
  pop: [[0, 520, 0.12, 0.7, "sine"]],
};

const APART_MS = 900;

export class Player {
  #context = null;
  #last = 0;

  // Called when the page may sound, or may not any more.
  changed = () => {};

  constructor() {
    this.#open();
    const unlock = () => this.#unlock();
    for (const event of ["pointerdown", "keydown"]) addEventListener(event, unlock, true);
  }

  get ready() {
    return this.#context?.state === "running";
  }

  #open() {
    this.#context = new AudioContext();
    this.#context.onstatechange = () => this.changed(this.ready);
  }

  #unlock() {
    if (!this.ready) this.#context.resume().catch(() => {});
  }

  // Plays at `volume` (0 to 100) unless one has just been played; tells whether it did.
  async play(sound, volume, { always = false } = {}) {
    const tones = SOUNDS[sound];
    const now = Date.now();
    if (!tones || !(volume > 0) || (!always && now - this.#last < APART_MS)) return false;
    if (always) await this.#context.resume();
    if (!this.ready) return false;
    this.#last = now;
    tones.forEach((tone) => this.#tone(tone, volume));
    document.dispatchEvent(new CustomEvent("relaydesk:sounded", { detail: { sound, volume } }));
    return true;
  }

  #tone([begin, frequency, length, strength, wave], volume) {
    const at = this.#context.currentTime + begin;
    const oscillator = new OscillatorNode(this.#context, { type: wave, frequency });
    const gain = new GainNode(this.#context, { gain: 0 });
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime((strength * volume) / 100, at + 0.008);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + length);
    oscillator.connect(gain).connect(this.#context.destination);
    oscillator.start(at);
    oscillator.stop(at + length);
  }
}
