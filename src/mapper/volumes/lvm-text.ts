/**
 * lvm-text: the text in which LVM2 keeps a volume group: `name { key = value ... }`, values being numbers, "strings" and [arrays] of them; `#`
 * begins a comment (lvm2: libdm/libdm-config.c).
 *
 * The text comes from a disk: depth is bounded, every name stands once in its section, and what is kept grows with the text alone.
 */

/** Sections inside one another that are read at most; LVM writes four. */
const DEPTH_MAX = 8;

/** One value of a key. */
export type ConfigScalar = string | number;

/** What stands under a name. */
export type ConfigValue = ConfigScalar | readonly ConfigScalar[] | ConfigSection;

/** A section: names in the order of the text. */
export type ConfigSection = ReadonlyMap<string, ConfigValue>;

/** Whether a value is a section. */
export function isSection(value: ConfigValue | undefined): value is ConfigSection {
  return value instanceof Map;
}

/** A text that is not of the form. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Characters of a name or number; far above what LVM allows, far below what a hostile text may hold. */
const NAME = /[A-Za-z0-9_.+\-/]{1,256}/y;
const NUMBER = /[+-]?\d{1,20}(?:\.\d{1,20})?/y;

/** Reads a text. @throws {ConfigError} with line and wish */
export function parseLvmText(text: string): ConfigSection {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): ConfigSection {
    const root = this.#section(0);
    if (this.#at < this.#text.length) this.#fail("a name, or the end");
    return root;
  }

  #section(depth: number): ConfigSection {
    if (depth > DEPTH_MAX) this.#fail(`at most ${DEPTH_MAX} sections inside one another`);
    const entries = new Map<string, ConfigValue>();
    for (;;) {
      this.#skipSpace();
      const name = this.#take(NAME)?.[0];
      if (name === undefined) return entries;
      if (entries.has(name)) this.#fail(`the name ${JSON.stringify(name)} once in its section`);
      this.#skipSpace();
      entries.set(name, this.#valueOf(depth));
    }
  }

  #valueOf(depth: number): ConfigValue {
    if (this.#takeMark("{")) {
      const inner = this.#section(depth + 1);
      if (!this.#takeMark("}")) this.#fail('a name or "}"');
      return inner;
    }
    if (!this.#takeMark("=")) this.#fail('"=" or "{" behind a name');
    this.#skipSpace();
    return this.#takeMark("[") ? this.#array() : this.#scalar();
  }

  #array(): ConfigScalar[] {
    const values: ConfigScalar[] = [];
    this.#skipSpace();
    while (!this.#takeMark("]")) {
      values.push(this.#scalar());
      this.#skipSpace();
      if (this.#takeMark(",")) this.#skipSpace();
      else if (this.#text[this.#at] !== "]") this.#fail('"," or "]" behind a value');
    }
    return values;
  }

  #scalar(): ConfigScalar {
    if (this.#text[this.#at] === '"') return this.#string();
    const number = this.#take(NUMBER)?.[0];
    if (number === undefined) return this.#fail('a number, a "string" or an [array]');
    return Number(number);
  }

  /** Loops by hand, here and below: a pattern that runs over megabytes may end the process' stack. */
  #string(): string {
    const text = this.#text;
    let end = this.#at + 1;
    while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    if (end >= text.length) this.#fail('a string with its end "');
    const inner = text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return inner.replaceAll(/\\([^])/g, "$1");
  }

  #skipSpace(): void {
    const text = this.#text;
    for (; this.#at < text.length; this.#at += 1) {
      const mark = text[this.#at] as string;
      if (mark === "#") {
        const end = text.indexOf("\n", this.#at);
        this.#at = end < 0 ? text.length : end;
      }
      if (!/[\s\0#]/.test(mark)) return;
    }
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match;
  }

  #takeMark(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #fail(wish: string): never {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    const got = this.#text.slice(this.#at, this.#at + 40);
    throw new ConfigError(`line ${line}: want ${wish}: got ${JSON.stringify(got)}`);
  }
}
