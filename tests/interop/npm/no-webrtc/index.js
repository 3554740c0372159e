// What a program has put in its global scope, or nothing: by that simple-peer knows that there is no WebRTC.
export const RTCPeerConnection = globalThis.RTCPeerConnection
export const RTCSessionDescription = globalThis.RTCSessionDescription
export const RTCIceCandidate = globalThis.RTCIceCandidate
export default {}
