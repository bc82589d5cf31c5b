import Basics
import Link

/// What the AW Gateway asks of the rest of the control plane. It decides nothing about Hosts itself.
public protocol GatewayDelegate: Sendable {
  /// Redeems a one-time token and signs the machine's key.
  ///
  /// - Throws: `enrolmentInvalid`, `enrolmentExpired`, `enrolmentUsed`, `linkClockSkew`.
  func enrol(_ request: EnrolmentRequest) async throws -> EnrolmentGrant

  /// Whether this Host may have a link at all.
  ///
  /// - Throws: `hostUnknown` for a removed Host, `linkClockSkew`.
  func admit(_ hello: Hello, from host: HostID) async throws

  /// Signs the Host's next certificate.
  func renew(_ host: HostID, request: String) async throws -> CertificateBundle

  /// A link is routed. Called before the Connector is told.
  func connected(_ host: HostID, _ hello: Hello) async

  /// The Host's routed link is gone.
  func disconnected(_ host: HostID, _ loss: LinkLoss) async
}

/// How a link ended, as the AW Gateway saw it.
public struct LinkLoss: Sendable, Equatable {
  public enum Class: String, Sendable, Codable {
    /// The Connector said that it leaves.
    case connectorShutdown = "connector_shutdown"
    /// The connection closed without a word.
    case connectorCrash = "connector_crash"
    /// Pings stayed unanswered.
    case silence
    /// This AW Gateway is shutting down.
    case gracefulDrain = "graceful_drain"
    case superseded
    /// The Host may have no link any more.
    case revoked
    case protocolError = "protocol_error"
  }

  public let lossClass: Class
  public let detail: String

  public init(_ lossClass: Class, _ detail: String) {
    self.lossClass = lossClass
    self.detail = detail
  }
}
