/**
 * Names: directory entries are bytes, paths are text; these two calls go there and back without losing a byte.
 *
 * A name of valid UTF-8 is itself, but for a backslash, which is `\\`, and control characters. A byte that is no UTF-8, or a control
 * character, is `\xHH`. An encrypted name is told as it is on the media: `\encrypted:` and its bytes in base64url.
 */

const ENCRYPTED = "\\encrypted:";
const PLAIN = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const SPECIAL = /[\u0000-\u001f\u007f\\]/g;

function hexEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

function escapeText(text: string): string {
  return text.replace(SPECIAL, (char) => (char === "\\" ? "\\\\" : hexEscape(char.charCodeAt(0))));
}

/** Length of the UTF-8 sequence that begins at `at`, or 0 where none does. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  const length =
    first < 0x80
      ? 1
      : first < 0xc2
        ? 0
        : first < 0xe0
          ? 2
          : first < 0xf0
            ? 3
            : first < 0xf5
              ? 4
              : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    PLAIN.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}

/** The text of `bytes[start, end)` where it is printable ASCII without a backslash, as nearly every name is; else `undefined`. */
export function plainNameText(bytes: Buffer, start: number, end: number): string | undefined {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7e || byte === 0x5c) return undefined;
  }
  return bytes.toString("latin1", start, end);
}

/** The text of a name's bytes. Never contains "/" or NUL unless the bytes do (those are hostile: `NameTable.add`). */
export function nameToText(bytes: Uint8Array, encrypted = false): string {
  if (encrypted) return ENCRYPTED + Buffer.from(bytes).toString("base64url");
  try {
    return escapeText(PLAIN.decode(bytes));
  } catch {
    let text = "";
    for (let at = 0; at < bytes.length;) {
      const length = sequenceLength(bytes, at);
      text +=
        length === 0
          ? hexEscape(bytes[at] as number)
          : escapeText(PLAIN.decode(bytes.subarray(at, at + length)));
      at += Math.max(1, length);
    }
    return text;
  }
}

/** The bytes of a name as `nameToText` wrote it. An escape of another form is taken as it stands. */
export function textToName(text: string): Uint8Array {
  if (text.startsWith(ENCRYPTED)) return Buffer.from(text.slice(ENCRYPTED.length), "base64url");
  if (!text.includes("\\")) return Buffer.from(text);
  const parts = text.split(/(\\x[0-9a-f]{2}|\\\\)/i).map((part, index) => {
    if (index % 2 === 0) return Buffer.from(part);
    return part === "\\\\" ? Buffer.from("\\") : Buffer.from([Number.parseInt(part.slice(2), 16)]);
  });
  return Buffer.concat(parts);
}
