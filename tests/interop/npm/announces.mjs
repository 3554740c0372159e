// The client of npm's bittorrent-tracker: a seed and a leech at one tracker, which comes to know both.
// Usage: announces.mjs SEED_URL LEECH_URL INFO_HASH; prints a line of JSON for each step, or what went wrong.

// Node has no WebRTC: descriptions are made up, and nobody is connected by them.
class Connection {
  constructor () {
    this.signalingState = 'stable'
    this.iceConnectionState = 'new'
    this.iceGatheringState = 'complete'
    this.connectionState = 'new'
  }

  createDataChannel (label) { return { label, readyState: 'connecting', close () {} } }
  async createOffer () { return { type: 'offer', sdp: 'v=0\r\ns=an offer – 1\r\n' } }
  async createAnswer () { return { type: 'answer', sdp: `${this.remoteDescription.sdp}s=its answer\r\n` } }
  async setLocalDescription (description) {
    this.localDescription = description
    setTimeout(() => this.onicecandidate?.({ candidate: null })) // there are no more of them
  }

  async setRemoteDescription (description) {
    this.remoteDescription = description
    if (description.type === 'answer') console.log(JSON.stringify({ step: 'answer', sdp: description.sdp }))
  }

  addEventListener () {}
  getStats (callback) { return Promise.resolve([]) }
  close () {}
}
class Description { constructor (fields) { Object.assign(this, fields) } }
Object.assign(globalThis, {
  RTCPeerConnection: Connection, RTCSessionDescription: Description, RTCIceCandidate: Description
})
const { default: Client } = await import('bittorrent-tracker/client')

const [seedUrl, leechUrl, infoHash] = process.argv.slice(2)
const seed = new Client({ infoHash, announce: seedUrl, peerId: Buffer.from('-TS0001-seed00000000'), port: 7001 })
const leech = new Client({ infoHash, announce: leechUrl, peerId: Buffer.from('-TS0001-leech0000000'), port: 7002 })

const fail = why => { console.log(JSON.stringify({ step: 'failed', why: String(why) })); process.exit(1) }
for (const client of [seed, leech]) {
  client.on('warning', fail)
  client.on('error', fail)
}
setTimeout(() => fail('too late'), 20000)
const once = (client, event) => new Promise(resolve => client.once(event, resolve))
const step = async (name, client, event, act) => {
  const [found] = await Promise.all([once(client, event), act()])
  console.log(JSON.stringify({ step: name, ...(typeof found === 'string' ? { address: found } : pick(found)) }))
}
const pick = ({ complete, incomplete, downloaded, interval, id }) =>
  ({ complete, incomplete, downloaded, interval, id })

await step('seed', seed, 'update', () => seed.start({ left: 0 }))
const met = step('met', leech, 'peer', () => {})
await step('leech', leech, 'update', () => leech.start({ left: 5 }))
await met
await step('scrape', leech, 'scrape', () => leech.scrape())
await step('completed', leech, 'update', () => leech.complete({ left: 0, downloaded: 5 }))
await step('stopped', seed, 'update', () => seed.stop({ left: 0 }))
await step('left', leech, 'scrape', () => leech.scrape())
process.exit(0)
