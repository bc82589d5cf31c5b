import Basics
import Link

/// What the AW Gateway asks of the rest of the control plane. It decides nothing about Hosts itself.
public protocol GatewayDelegate: Sendable {
  /// Redeems a one-time token and signs the machine's key.
  ///
  /// - Parameter authorities: those that are in use now.
  /// - Throws: `enrolmentInvalid`, `enrolmentExpired`, `enrolmentUsed`, `linkClockSkew`.
  func enrol(_ request: EnrolmentRequest, with authorities: Authorities) async throws -> EnrolmentGrant

  /// Whether this Host may have a link at all.
  ///
  /// - Throws: `hostUnknown` for a removed Host, `linkClockSkew`.
  func admit(_ hello: Hello, from host: HostID) async throws

  /// Signs the Host's next certificate.
  func renew(_ host: HostID, request: String, with authorities: Authorities) async throws -> CertificateBundle

  /// The Host's Connector has made its own what it was told of whom to trust. What it trusts when it connects stands in
  /// its Hello.
  func trusting(_ host: HostID, _ report: TrustReport) async

  /// A connection is routed. Called when the Connector has been told.
  ///
  /// - Parameter connections: how many the Host has when it is asked. Calls for the several connections of one Host may
  ///   overtake each other; who asks this in the end knows how it is.
  func connected(_ host: HostID, _ hello: Hello, connections: @escaping @Sendable () -> Int) async

  /// The Host's Connector tells how its Instances are. Must be quick: the link's next message waits for it.
  func heard(_ heartbeat: Heartbeat, from host: HostID)

  /// An Instance of this Host asks for its secrets.
  func resolve(_ question: SecretQuestion, for host: HostID) async -> SecretAnswer

  /// The path of one of the Host's connections still works, and has become much worse; and it is as before, or its
  /// connection is gone.
  func degraded(_ host: HostID, _ seen: LossEvidence) async
  func mended(_ host: HostID, slot: Int) async

  /// A connection of the Host is gone; this is what was seen of it.
  func disconnected(_ host: HostID, _ seen: LossEvidence, connections: @escaping @Sendable () -> Int) async

  /// A connection of the Host ended because its Connector has another one in its place, at another AW Gateway.
  func moved(_ host: HostID, connections: @escaping @Sendable () -> Int) async
}
