/** What any `Store` must do, as named checks that a test runner can loop over. */
import { eventConformance } from "./events.ts"
import { runConformance, type StoreCheck } from "./runs.ts"
import { serviceConformance } from "./services.ts"

/** Every check by its name; each needs a store of its own or at least ids of its own. */
export const storeConformance: Readonly<Record<string, StoreCheck>> = { ...runConformance, ...eventConformance, ...serviceConformance }
