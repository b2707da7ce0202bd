/** The list of commands: one line each. A module is loaded only when its verb is called. */
import type { CommandModule } from "./command.ts";

/** One verb as the help shows it. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** Every verb, in the order of the work. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "create",
    summary: "make an image that fails as it is told",
    load: async () => (await import("./commands/create.ts")).create,
  },
  {
    name: "inject",
    summary: "tell an image which ranges fail",
    load: async () => (await import("./commands/inject.ts")).inject,
  },
  {
    name: "scrub",
    summary: "read everything, so that latent errors become known",
    load: async () => (await import("./commands/scrub.ts")).scrub,
  },
  {
    name: "list",
    summary: "print the list of bad ranges",
    load: async () => (await import("./commands/list.ts")).list,
  },
  {
    name: "table",
    summary: "show what of a stack maps where",
    load: async () => (await import("./commands/table.ts")).table,
  },
  {
    name: "message",
    summary: "send a message to a target of a stack",
    load: async () => (await import("./commands/message.ts")).message,
  },
  {
    name: "replay",
    summary: "write what a log of writes says onto an image",
    load: async () => (await import("./commands/replay.ts")).replay,
  },
  {
    name: "survey",
    summary: "tell which bytes of which files are gone",
    load: async () => (await import("./commands/survey.ts")).survey,
  },
  {
    name: "salvage",
    summary: "copy every clean byte out, with a map",
    load: async () => (await import("./commands/salvage.ts")).salvage,
  },
  {
    name: "merge",
    summary: "join partial copies of one source",
    load: async () => (await import("./commands/merge.ts")).merge,
  },
  {
    name: "plan",
    summary: "say exactly what a repair would do",
    load: async () => (await import("./commands/plan.ts")).plan,
  },
  {
    name: "repair",
    summary: "fetch the missing bytes and write them in place",
    load: async () => (await import("./commands/repair.ts")).repair,
  },
  {
    name: "undo",
    summary: "mark lost again what a repair wrote",
    load: async () => (await import("./commands/undo.ts")).undo,
  },
  {
    name: "acknowledge",
    summary: "give up bytes that nobody can restore",
    load: async () => (await import("./commands/acknowledge.ts")).acknowledge,
  },
  {
    name: "log",
    summary: "tell what was done to an image, step by step",
    load: async () => (await import("./commands/log.ts")).log,
  },
  {
    name: "verify",
    summary: "prove that what is there is whole",
    load: async () => (await import("./commands/verify.ts")).verify,
  },
  {
    name: "report",
    summary: "show the damage and what was done on a page",
    load: async () => (await import("./commands/report.ts")).report,
  },
  {
    name: "digest",
    summary: "write digests of a tree while it is good",
    load: async () => (await import("./commands/digest.ts")).digest,
  },
  {
    name: "serve",
    summary: "offer images and stacks as network block devices",
    load: async () => (await import("./commands/serve.ts")).serve,
  },
  {
    name: "status",
    summary: "tell whether an image is served, and to whom",
    load: async () => (await import("./commands/status.ts")).status,
  },
  {
    name: "watch",
    summary: "follow the lists, and tell, hand on or repair what changes",
    load: async () => (await import("./commands/watch.ts")).watch,
  },
  {
    name: "demo",
    summary: "show all of it on an image made here",
    load: async () => (await import("./commands/demo.ts")).demo,
  },
];
