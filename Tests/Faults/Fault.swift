import Fleet
import Link

/// What is done to a site, and what AW has to make of it.
enum Fault: String, CaseIterable, Sendable, Codable {
  case dropBoth = "drop both ways"
  case dropToControl = "drop towards the control plane"
  case dropToHost = "drop towards the Host"
  case reset = "reset"
  case refuse = "refuse"
  case largeLost = "PMTU hole"
  case onePercent = "1 % loss"
  case slowWire = "1 Mbit"
  case stopConnector = "SIGSTOP Connector"
  case stopControl = "SIGSTOP control plane"
  case killConnector = "SIGKILL Connector"
  case killControl = "SIGKILL control plane"
  case wireDown = "link down"
  case nameGone = "DNS gone"
  case expired = "expired certificate"
  case unknownAuthority = "unknown CA"
  case revoked = "revoked"
  case clockAhead = "clock +1 h"
  case otherProtocol = "ALPN mismatch"
  case slowReader = "slow reader"
  case streamResets = "300 stream resets"
  case drain = "drain"

  enum Course: Sendable {
    /// The Instance cannot be reached for as long as the fault lasts: AW must say so.
    case outage
    /// It is over at once: AW must never call the Instance unreachable.
    case blip
    /// The link bears it: AW must lose nothing.
    case noise
  }

  var course: Course {
    switch self {
    case .reset, .stopControl, .killControl, .drain: .blip
    case .onePercent, .slowWire, .slowReader, .streamResets: .noise
    default: .outage
    }
  }

  /// What the Watchdog says in the end; nil when the Instance went with its Host.
  var verdict: Status? {
    switch (self, course) {
    case (.revoked, _): nil
    case (_, .outage): .unreachable
    case (_, .blip), (_, .noise): .current
    }
  }

  /// The class of the loss, or of the dials that failed since; nil when nothing is lost.
  var lossClass: LossClass? {
    switch self {
    case .dropBoth, .largeLost: .networkBlackhole
    case .dropToControl, .dropToHost: .asymmetric
    case .reset: .networkReset
    case .refuse: .connectRefused
    case .stopConnector: .hostSuspended
    case .stopControl: .gatewayOverload
    case .killConnector: .connectorCrash
    case .killControl: .gatewayCrash
    case .wireDown: .networkUnreachable
    case .nameGone: .dnsFailure
    case .expired, .unknownAuthority, .otherProtocol: .tlsFailed
    case .revoked: .authRejected
    case .clockAhead: .clockSkew
    case .drain: .gracefulDrain
    case .onePercent, .slowWire, .slowReader, .streamResets: nil
    }
  }

  /// Whether the class is that of a dial: such a one stands in the Connector's log only.
  var isDial: Bool {
    switch self {
    case .refuse, .nameGone, .expired, .unknownAuthority, .revoked, .clockAhead, .otherProtocol: true
    default: false
    }
  }

  /// Both ends have to notice by themselves: nobody tells them.
  var isSilent: Bool {
    switch self {
    case .dropBoth, .dropToControl, .dropToHost, .wireDown, .stopConnector: true
    default: false
    }
  }

  /// Until the hard verdict, in seconds: 25 for silence, 15 for an end that is seen at once. What only large packets
  /// show is not seen before the next walk sends one, 15 s later at most.
  var verdictWithinSeconds: Int {
    switch self {
    case .largeLost: 45
    case _ where isSilent: 25
    default: 15
    }
  }

  /// It needs connections of its own through the link.
  var needsForwarding: Bool { self == .slowReader || self == .streamResets }
}
