/** main: the program `theriac`. */
import { endBadly, runCli } from "./program.ts";

process.on("uncaughtException", endBadly);
process.on("unhandledRejection", endBadly);
// everything printed has been handed to the system; a stuck read of a dying disk must not keep the process
void runCli(process.argv.slice(2)).then((exitCode) => process.exit(exitCode));
