#!/usr/bin/env node
/** launch: what `theriac` starts: the program (main.ts), through the loader that knows its compiled code. */
import { join } from "node:path";
import { ChunkLoader } from "./chunk-loader.ts";

new ChunkLoader().load(join(import.meta.dirname, "program.js"));
