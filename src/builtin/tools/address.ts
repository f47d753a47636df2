/** Which addresses are public. What is not, belongs to this machine, its network or nobody. */
import { BlockList, isIP } from "node:net"

const reserved = new BlockList()
for (
  const range of [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
  ]
) {
  const [address, bits] = range.split("/") as [string, string]
  reserved.addSubnet(address, Number(bits), isIP(address) === 4 ? "ipv4" : "ipv6")
}
/** Of IPv6 only this is routed: loopback, mapped, translated, local and multicast ones lie outside. */
const routed = new BlockList()
routed.addSubnet("2000::", 3, "ipv6")

/** The IP address is one of the public internet. */
export const isPublic = (address: string): boolean => {
  const family = isIP(address)
  if (family === 4) return !reserved.check(address, "ipv4")
  return family === 6 && routed.check(address, "ipv6") && !reserved.check(address, "ipv6")
}
