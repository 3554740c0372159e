// webtorrent as a program that says what `bittwist seed --json` and `bittwist download --json` say.
// It cannot bind to an address: --bind is passed over.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import WebTorrent from 'webtorrent'

const { positionals: [torrent, folder], values } = parseArgs({
  allowPositionals: true,
  options: {
    bind: { type: 'string' },
    port: { type: 'string', default: '0' },
    peer: { type: 'string', multiple: true, default: [] }
  }
})
const say = event => console.log(JSON.stringify(event))

const client = new WebTorrent({
  torrentPort: Number(values.port), dht: false, lsd: false, natUpnp: false, natPmp: false, utp: false, utPex: false
})
const fail = error => { say({ event: 'failed', reason: String(error) }); process.exit(1) }
client.on('error', fail)
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => client.destroy(() => process.exit(0)))
}
client.on('listening', () => say({ event: 'listening', port: client.torrentPort }))
const added = client.add(torrent.startsWith('magnet:') ? torrent : readFileSync(torrent), { path: folder })
added.on('error', fail)
added.on('warning', warning => say({ event: 'warning', reason: String(warning) }))
added.on('wire', (wire, address) => say({ event: 'peer', address, type: wire.type }))
added.on('ready', () => values.peer.forEach(peer => added.addPeer(peer)))
added.on('done', () => say({ event: 'complete', path: folder }))
