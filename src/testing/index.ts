/** Check your own store. */
export { storeConformance } from "./conformance/store.ts"
export type { StoreCheck } from "./conformance/store.ts"
