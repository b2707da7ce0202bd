/** Style: colours where they are wanted, and text from strangers made safe to print. */

/** Wraps a text in one colour, or returns it as it is. */
export type Paint = (text: string) => string;

/** Colours: each function returns its text, wrapped where colour is on. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

/** The colour of a state, wherever it is shown. */
export function stateColor(style: Style, state: "clean" | "unread" | "poisoned" | "lost"): Paint {
  if (state === "clean") return style.green;
  return state === "unread" ? style.dim : style.red;
}

/** Makes the colours, or the same functions without effect. */
export function createStyle(enabled: boolean): Style {
  const paint =
    (open: number, close: number): Paint =>
    (text) =>
      enabled && text !== "" ? `\u001B[${open}m${text}\u001B[${close}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/**
 * Whether a stream gets colour: `NO_COLOR` (no-color.org) and `TERM=dumb` say no, `FORCE_COLOR` yes, else a terminal does.
 */
export function wantsColor(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  if (env["NO_COLOR"]) return false;
  if (env["FORCE_COLOR"]) return env["FORCE_COLOR"] !== "0";
  return isTerminal && env["TERM"] !== "dumb";
}

// C0 and C1 controls, DEL, line and paragraph separators, and the marks that turn the direction of text
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const UNSAFE = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/**
 * Text from an image, list or log with its control characters made visible (`\x1b`), because a file name can hold an
 * escape sequence, and a terminal would obey it. Everything that a command prints for people goes through here.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
