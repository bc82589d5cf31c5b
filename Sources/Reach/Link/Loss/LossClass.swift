/// Why a link was lost, or could not be made. The words are closed; what was seen is kept beside them.
public enum LossClass: String, Codable, Sendable, CaseIterable {
  case gracefulDrain = "graceful_drain"
  case connectorShutdown = "connector_shutdown"
  case connectorCrash = "connector_crash"
  case hostReboot = "host_reboot"
  case hostSuspended = "host_suspended"
  case networkBlackhole = "network_blackhole"
  case networkReset = "network_reset"
  case networkUnreachable = "network_unreachable"
  case natIdleExpiry = "nat_idle_expiry"
  case pathDegraded = "path_degraded"
  case asymmetric
  case gatewayCrash = "gateway_crash"
  case gatewayOverload = "gateway_overload"
  case superseded
  case dnsFailure = "dns_failure"
  case connectRefused = "connect_refused"
  case connectTimeout = "connect_timeout"
  case tlsFailed = "tls_failed"
  case clockSkew = "clock_skew"
  case authRejected = "auth_rejected"
  case protocolError = "protocol_error"
  case localTargetDown = "local_target_down"
  case backpressureShed = "backpressure_shed"
  case unknown

  /// Where the cause lies.
  public enum Side: String, Codable, Sendable, CaseIterable {
    case server, host, network, authentication, either
  }

  public var side: Side {
    switch self {
    case .gracefulDrain, .gatewayCrash, .gatewayOverload, .superseded, .connectRefused: .server
    case .connectorShutdown, .connectorCrash, .hostReboot, .hostSuspended, .clockSkew, .localTargetDown: .host
    case .networkBlackhole, .networkReset, .networkUnreachable, .natIdleExpiry, .pathDegraded, .asymmetric,
      .dnsFailure, .connectTimeout:
      .network
    case .tlsFailed, .authRejected: .authentication
    case .protocolError, .backpressureShed, .unknown: .either
    }
  }

  /// What a person reads.
  public var explanation: String {
    switch self {
    case .gracefulDrain: "The control plane left on purpose; Connectors come back by themselves."
    case .connectorShutdown: "The Connector was stopped on purpose."
    case .connectorCrash: "The Connector's process ended without a goodbye."
    case .hostReboot: "The Host was restarted."
    case .hostSuspended: "The Host, or the Connector on it, stood still: its network answered, its programs did not."
    case .networkBlackhole: "The network swallowed everything in between, without a word to either side."
    case .networkReset: "Something in between reset the connection: a NAT, a firewall or a proxy."
    case .networkUnreachable: "There was no route between Host and control plane."
    case .natIdleExpiry: "Something in between forgets connections that are quiet for a while."
    case .pathDegraded: "The path works, but much slower than it did."
    case .asymmetric: "One direction of the path worked, the other did not."
    case .gatewayCrash: "The control plane's process ended without a goodbye."
    case .gatewayOverload: "The control plane was too busy to answer."
    case .superseded: "A newer connection of the same Host took over."
    case .dnsFailure: "The AW Gateway's name could not be resolved."
    case .connectRefused: "Nothing listened on the AW Gateway's port, or a proxy on the way did not allow it."
    case .connectTimeout: "Nothing answered at the AW Gateway's address."
    case .tlsFailed: "The two sides did not trust each other's certificates, or something in between answered."
    case .clockSkew: "The clocks of Host and control plane are too far apart."
    case .authRejected: "The control plane, or a proxy on the way, does not let this Host in."
    case .protocolError: "One side did not keep to the protocol."
    case .localTargetDown: "The link works; what the stream asked for on the Host does not."
    case .backpressureShed: "A stream was given up because too much was waiting to be sent."
    case .unknown: "What was seen fits no class; it is kept to be looked at."
    }
  }
}
