import Basics
import Link

/// What a person is told of a dial that failed.
enum DialWords {
  static func unreached(_ endpoint: GatewayEndpoint, _ error: any Error) -> AWError {
    AWError(
      .linkRefused, "Nothing at \(endpoint) accepted the connection.",
      next: "Check the address, that 'aw serve' runs there, and that no firewall is between.", cause: error)
  }

  static func proxyUnreached(_ proxy: ForwardProxy, _ error: any Error) -> AWError {
    AWError(
      .linkProxyRefused, "The proxy at \(proxy.address):\(proxy.port) accepted no connection.",
      next: "Check --proxy, or https_proxy in the Connector's environment.", cause: error)
  }

  static func refused(_ refused: ProxyRefused, by proxy: ForwardProxy?, _ endpoint: GatewayEndpoint) -> AWError {
    let name = proxy.map { "The proxy at \($0.address):\($0.port)" } ?? "The proxy"
    let status = refused.status.map { " (\($0))" } ?? ""
    let (what, next) =
      switch refused.failure {
      case .credentials:
        ("wants other credentials\(status)", "Give --proxy http://USER@HOST:PORT and --proxy-password-file.")
      case .forbidden:
        ("does not allow a connection to \(endpoint)\(status)", "Have the proxy's administrator allow CONNECT to it.")
      case .noWay:
        ("did not reach \(endpoint) itself\(status)", "Check the address, and that the proxy may go there.")
      case .silent:
        (
          "did not answer within \(Int(LinkLimits.proxyTimeout.seconds)) s",
          "Check that it is an HTTP proxy, and that it reaches \(endpoint)."
        )
      case .other:
        ("did not connect to \(endpoint)\(status)", "Check that the address is that of an HTTP proxy.")
      }
    return AWError(.linkProxyRefused, "\(name) \(what).", next: next)
  }

  /// Says why a handshake failed. The verdict is ours; without one the far end closed.
  static func explain(_ verdict: ChainVerdict?, _ error: any Error, _ endpoint: GatewayEndpoint) -> AWError {
    switch verdict {
    case .foreign(let issuer?) where issuer != CertificateIdentity.authorityName:
      AWError(
        .linkForeignAuthority,
        "What answers at \(endpoint) shows a certificate of \(issuer.quoted), not this control plane's.",
        next: "Something in between opens TLS, or the address is wrong. Exempt the AW Gateway from TLS inspection.",
        cause: error)
    case .foreign:
      AWError(
        .linkForeignAuthority, "What answers at \(endpoint) is not the AW Gateway that this Host was enrolled with.",
        next: "Check the address; if the control plane was made anew, enrol this Host again.", cause: error)
    case .notYetValid(let from):
      AWError(
        .linkClockSkew, "The AW Gateway's certificate is valid from \(from) only: this Host's clock is behind.",
        next: "Set the clock (NTP), then wait for the next try.", cause: error)
    case .expired(let at):
      AWError(
        .linkClockSkew, "The AW Gateway's certificate expired at \(at), or this Host's clock is ahead.",
        next: "Set the clock (NTP); if it is right, restart the control plane to renew its certificate.",
        cause: error)
    case .wrongUse(let what):
      AWError(
        .linkForeignAuthority, "The AW Gateway at \(endpoint) cannot be trusted: \(what).",
        next: "Check that the address is the AW Gateway's.", cause: error)
    case .trusted, nil:
      AWError(
        .linkRefused, "The AW Gateway at \(endpoint) closed the connection during the handshake.",
        next:
          "Check that this is the AW Gateway's port, not the console's. See the control plane's log. A Host that was "
          + "removed, or whose certificate expired, must be enrolled again: 'aw host enroll'.",
        cause: error)
    }
  }
}
