import Basics
import Link

/// What is to be mended, along the way from the control plane to the model: one, and what stands behind it is not
/// counted beside it.
public enum PrimaryCause: String, Codable, Sendable, CaseIterable {
  /// The Watchdog doubts itself.
  case controlPlane = "control_plane"
  /// The Host's link.
  case tunnel
  /// What runs Instances on the Host.
  case host
  /// The Instance's process or container.
  case runtime
  /// It runs and does not answer.
  case process = "gateway_process"
  case readiness
  /// Its Gateway WebSocket.
  case gateway
  /// AW is not let in, or to less than it was paired for.
  case credential
  /// It runs what AW did not ask for.
  case drift
  case channel
  case health
  case model

  /// - Parameters:
  ///   - link: the first link that is not right.
  ///   - failure: what it said.
  public static func of(_ link: ChainLink, _ failure: CheckFailure?) -> PrimaryCause {
    switch (link, failure?.code) {
    case (_, ErrorCode.gatewayDrifted.id): .drift
    case (.host, _): .tunnel
    case (.runtime, ErrorCode.runtimeUnavailable.id), (.runtime, ErrorCode.runtimeProgramMissing.id),
      (.runtime, ErrorCode.runtimeDiskFull.id):
      .host
    case (.runtime, _): .runtime
    case (.live, _): .process
    case (.ready, _): .readiness
    case (.hello, ErrorCode.gatewayRefused.id), (.hello, ErrorCode.gatewayPairingRequired.id),
      (.hello, ErrorCode.gatewayOtherIdentity.id), (.hello, ErrorCode.vaultMissing.id),
      (.hello, ErrorCode.vaultUnreadable.id):
      .credential
    case (.hello, _): .gateway
    case (.health, _): failure?.message.contains("the channel '") == true ? .channel : .health
    case (.turn, _): .model
    }
  }

  /// What stands behind a link, so that nothing can be said of it until that is mended.
  public static func suppressed(by link: ChainLink, _ failure: CheckResult.Outcome?) -> [ChainLink] {
    guard case .failed = failure else { return [] }
    return Array(ChainLink.allCases.drop { $0 != link }.dropFirst())
  }
}

extension StatusReading {
  /// Nil when nothing is to be mended.
  public func primaryCause(_ evidence: StatusEvidence, doubted: Bool) -> PrimaryCause? {
    if doubted, status == .unknown { return .controlPlane }
    guard status != .current, let link else { return nil }
    return PrimaryCause.of(link, evidence.newest[link]?.outcome.failure)
  }
}
