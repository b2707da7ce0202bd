/** config-reader: fields of a volume group's text with the kind that they must have: what is not so is told by its path in the text. */
import { isSection, type ConfigSection, type ConfigScalar } from "./lvm-text.ts";
import { volumeError } from "./volume-error.ts";

/** One section, with its place for messages. */
export class ConfigReader {
  readonly #section: ConfigSection;
  /** Name of the device or group that the text is from. */
  readonly #who: string;
  /** "vg/logical_volumes/root". */
  readonly #path: string;

  constructor(section: ConfigSection, options: { readonly who: string; readonly path: string }) {
    this.#section = section;
    this.#who = options.who;
    this.#path = options.path;
  }

  /** Whether there is such a field, of any kind. */
  has(name: string): boolean {
    return this.#section.has(name);
  }

  /** A section under this one. @throws {StorageError} EBADMSG */
  section(name: string): ConfigReader {
    const value = this.#section.get(name);
    if (!isSection(value)) return this.#fail(name, "a section");
    return new ConfigReader(value, { who: this.#who, path: `${this.#path}/${name}` });
  }

  /** All sections under one name, in the order of the text; none where the name is not there. @throws {StorageError} EBADMSG */
  sections(name: string): (readonly [string, ConfigReader])[] {
    if (!this.has(name)) return [];
    const group = this.section(name);
    return [...group.#section.keys()].map((key) => [key, group.section(key)] as const);
  }

  /** A string. @throws {StorageError} EBADMSG */
  text(name: string): string {
    const value = this.#section.get(name);
    return typeof value === "string" ? value : this.#fail(name, "a string");
  }

  /** A whole number from `least` on, exact. @throws {StorageError} EBADMSG */
  count(name: string, least = 0): number {
    const value = this.#section.get(name);
    const isGood = typeof value === "number" && Number.isSafeInteger(value) && value >= least;
    return isGood ? value : this.#fail(name, `a whole number from ${least} on`);
  }

  /** Values in an array; none where the name is not there. @throws {StorageError} EBADMSG */
  list(name: string): readonly ConfigScalar[] {
    const value = this.#section.get(name);
    if (value === undefined) return [];
    return Array.isArray(value) ? value : this.#fail(name, "an array");
  }

  /** Refuses a field. */
  #fail(name: string, wish: string): never {
    const value = this.#section.get(name);
    const got = isSection(value) ? "a section" : JSON.stringify(value)?.slice(0, 80);
    throw volumeError(this.#who, `want ${wish} at ${this.#path}/${name}: got ${got ?? "nothing"}`);
  }
}
