import Basics
import Link

/// Why ssh ended, from what it said: a pure function.
enum SSHVerdict {
  /// - Parameters:
  ///   - said: the end of what ssh wrote to its standard error.
  ///   - wasUp: it had made the forward.
  static func of(_ said: String, code: Int32, wasUp: Bool, server: SSHServer) -> PathFailure {
    // Streams that found the Instance's port closed are told of in the same words, and end nothing.
    let text = said.split(separator: "\n").filter { !$0.hasPrefix("channel ") }.joined(separator: "\n").lowercased()
    if code == 127 { return missing }
    if let refusal = refusal(text, server) { return refusal }
    for (words, lossClass, what) in causes where words.contains(where: text.contains) {
      return unreachable(what, lossClass, server)
    }
    if text.contains("port forwarding failed") || text.contains("unix_listener") {
      return PathFailure(
        AWError(
          .pathUnreachable, "ssh reached \(server.text), and could not make its end of the forward.",
          next: "Look at the control plane's log; its data directory may be full."))
    }
    if wasUp || text.contains("closed by remote host") || text.contains("connection closed by") {
      return unreachable("the ssh server ended the connection", nil, server)
    }
    return unreachable("ssh ended with code \(code)", .unknown, server)
  }

  /// What only a person can mend.
  private static func refusal(_ text: String, _ server: SSHServer) -> PathFailure? {
    if text.contains("host key verification failed") || text.contains("remote host identification has changed") {
      return PathFailure(
        AWError(
          .pathHostKeyChanged,
          "Another host key than the one recorded was shown by \(server.address):\(server.port). "
            + "Nothing was sent to it.",
          next: "Find out whether the machine was set up anew or something stands in between. "
            + "If it is meant: 'aw path switch' with the new key, read on the machine itself."),
        .tlsFailed, isRefusal: true)
    }
    if text.contains("no matching host key type") {
      return PathFailure(
        AWError(
          .pathHostKeyChanged, "The ssh server \(server.address):\(server.port) has no host key of the recorded type.",
          next: "Record one that it has: 'aw path switch' with the key, read on the machine itself."),
        .tlsFailed, isRefusal: true)
    }
    // A key that ssh cannot read is refused by the server as well: this is why.
    if text.contains("error in libcrypto") || text.contains("invalid format") || text.contains("incorrect passphrase") {
      return credential(
        "AW's key for \(server.text) cannot be read by ssh: it is no private key, or has a passphrase.", server)
    }
    if text.contains("permission denied") || text.contains("too many authentication failures") {
      return credential("The ssh server refused AW's key for \(server.text).", server)
    }
    return nil
  }

  private static func credential(_ what: String, _ server: SSHServer) -> PathFailure {
    PathFailure(
      AWError(
        .pathCredentialRefused, what,
        next: "Check that its public half is in ~\(server.user)/.ssh/authorized_keys on the Host, then "
          + "'aw path switch' with the key."),
      .authRejected, isRefusal: true)
  }

  /// What ssh says, in the words of glibc's `C` locale and its own, with the class that it tells.
  private static let causes: [(words: [String], lossClass: LossClass, what: String)] = [
    (["could not resolve hostname", "name or service not known"], .dnsFailure, "its name does not resolve"),
    (["not responding"], .networkBlackhole, "it fell silent"),
    (["no route to host", "network is unreachable", "host is down"], .networkUnreachable, "there is no route to it"),
    (["connection refused"], .connectRefused, "nothing listens on the port"),
    (["timed out"], .connectTimeout, "it does not answer"),
    (["connection reset", "broken pipe"], .networkReset, "the connection was reset"),
    (["no matching", "protocol error", "bad packet", "invalid ssh"], .protocolError, "it speaks another protocol"),
  ]

  private static func unreachable(_ what: String, _ lossClass: LossClass?, _ server: SSHServer) -> PathFailure {
    PathFailure(
      AWError(
        .pathUnreachable, "The ssh server \(server.text) is not reached: \(what).",
        next: "Check that it runs and that the control plane's machine may reach it; AW dials again by itself."),
      lossClass)
  }

  static let missing = PathFailure(
    AWError(
      .pathProgramMissing, "The control plane's machine has no 'ssh', or no 'setpriv' to start it with.",
      next: "Install them: 'apt-get install openssh-client util-linux'."))
}
