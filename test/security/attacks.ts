/** Attacks, each with what must come of it; the numbers are those of the threat table. */
import { data } from "./data.ts"
import { engine } from "./engine.ts"
import type { Attack } from "./kit.ts"
import { servers } from "./mcp.ts"
import { leaks } from "./leaks.ts"
import { pages } from "./pages.ts"
import { people } from "./people.ts"
import { reach } from "./reach.ts"

export const attacks: ReadonlyArray<Attack> = [...data, ...reach, ...engine, ...people, ...pages, ...leaks, ...servers].sort((a, b) => a.id - b.id)
