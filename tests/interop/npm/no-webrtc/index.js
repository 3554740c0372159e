// Every name is there and is nothing, which is how simple-peer knows that this platform has no WebRTC.
export const RTCPeerConnection = undefined
export const RTCSessionDescription = undefined
export const RTCIceCandidate = undefined
export const RTCDataChannel = undefined
export const MediaStream = undefined
export default {}
