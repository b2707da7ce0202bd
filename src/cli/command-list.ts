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
  // entries: { name, summary, load: async () => (await import("./commands/NAME.ts")).NAME }
];
