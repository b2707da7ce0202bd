/**
 * HtmlText: text of strangers made safe for a page: names come from a damaged image, and may hold tags, quotes, escape sequences, marks that turn
 * the direction of text, and halves of characters. What cannot be seen is made visible (`\x1b`), as everywhere in Theriac; the rest is escaped.
 */

// C0 and C1 controls, DEL, soft hyphen, zero-width characters, separators, the marks that turn the direction of text, invisible operators, BOM
const UNSEEN =
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  /[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF]/g;
/** Halves of a character pair, which no encoding can write. */
const HALVES = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

const MARKUP: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Longest text of a stranger that a page shows: both ends of it, where it is longer. */
const LONGEST = 400;

/** A text for people: what cannot be seen is written out, what is too long is cut in its middle. */
export function visible(text: string): string {
  const whole = text.replace(HALVES, "\uFFFD").replace(UNSEEN, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  if (whole.length <= LONGEST) return whole;
  const characters = Array.from(whole);
  if (characters.length <= LONGEST) return whole;
  const head = characters.slice(0, LONGEST / 4).join("");
  return `${head} … ${characters.slice(-(LONGEST * 3) / 4).join("")}`;
}

/** A text as content or attribute of a page. */
export function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"'`]/g, (character) => MARKUP[character] ?? "");
}

/** A name: it does not turn what stands beside it, and a path reads from its root on, whatever script its names are in. */
export function nameHtml(text: string): string {
  return `<bdi dir="ltr" class="name">${escapeHtml(text)}</bdi>`;
}

/** A number for people: `12,345,678`. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
