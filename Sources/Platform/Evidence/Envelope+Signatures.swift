extension Envelope {
  /// The same document with other signatures, such as those of a second signer beside the first one's.
  public init(_ envelope: Envelope, signatures: [Signature]) {
    (payloadType, payload) = (envelope.payloadType, envelope.payload)
    self.signatures = signatures
  }
}
