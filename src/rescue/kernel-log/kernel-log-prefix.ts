/** Prefixes: what dmesg, journalctl and syslog print before the kernel's own text, and how to take it off. */

// each takes a bounded part of a bounded line; none can backtrack over it
const LEVEL_NUMBER = /^<\d{1,3}>/;
const LEVEL_NAMES = /^[a-z0-9]{1,8} *:[a-z]{1,7} *: */;
const DMESG_TIME = /^\[[ \d.:+]{1,24}\] ?/;
const DMESG_HUMAN = /^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?/;
const DMESG_CALLER = /^\[ *[TC]\d{1,10}\] ?/;
const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)? /;
const SYSLOG_TIME = /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})? /;
const UNIX_TIME = /^\d{9,11}\.\d{1,9} /;
const HOST_AND_TAG = /^(?:[\w.:-]{1,255} )?([\w./()@-]{1,64})(?:\[\d{1,10}\])?: /;

/** A kernel line without what was printed before it. */
export interface StrippedLine {
  /** The kernel's own text; `undefined` where another program wrote the line. */
  readonly text: string | undefined;
  /** How often a logger says that the line came again: rsyslog folds repetitions. */
  readonly repeated: number;
}

/**
 * Takes level, time, host and tag off a line. A line that a tag says is not the kernel's gives no text: any program may
 * write lines that look like the kernel's into a system log.
 */
export function stripPrefix(line: string): StrippedLine {
  let text = fromJournalJson(line) ?? line;
  text = text.replace(LEVEL_NUMBER, "").replace(LEVEL_NAMES, "");
  const monotonic = text.replace(DMESG_TIME, "").replace(DMESG_HUMAN, "");
  let timed = monotonic !== text;
  text = monotonic.replace(DMESG_CALLER, "");
  const dated = text.replace(ISO_TIME, "").replace(SYSLOG_TIME, "").replace(UNIX_TIME, "");
  timed ||= dated !== text;
  // only a line with a time can have a host and a tag: "sd 0:0:0:0: ..." looks like both
  const tag = timed ? HOST_AND_TAG.exec(dated) : null;
  if (tag?.[1] === "kernel") text = dated.slice(tag[0].length);
  else if (dated === text || tag === null) text = dated;
  else return { text: undefined, repeated: 1 };
  text = text.replace(DMESG_TIME, "").replace(DMESG_CALLER, "");
  const folded = /^message repeated (\d{1,9}) times: \[ ?(.*)\]$/.exec(text);
  if (folded === null) return { text: text.trim(), repeated: 1 };
  return { text: (folded[2] ?? "").replace(DMESG_TIME, "").trim(), repeated: Number(folded[1]) };
}

/** The message of a line of `journalctl -o json`; `undefined` where the line is none. */
function fromJournalJson(line: string): string | undefined {
  if (!line.startsWith('{"') && !line.startsWith('{ "')) return undefined;
  try {
    const entry = JSON.parse(line) as Record<string, unknown>;
    const message = entry["MESSAGE"];
    const transport = entry["_TRANSPORT"];
    if (transport !== undefined && transport !== "kernel") return "";
    return typeof message === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}
