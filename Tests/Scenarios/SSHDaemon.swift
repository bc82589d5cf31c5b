import Basics
import Foundation
import TestSupport
import Testing

/// A real OpenSSH server on the loopback, with keys of its own. It lets one key in, as the user that runs the tests.
final class SSHDaemon: Sendable {
  let port: Int
  let folder: String
  let user = "root"

  var key: String { get throws { try text("key") } }
  var hostKey: String { get throws { try text("host.pub") } }

  /// - Parameter folder: exists, and is removed by whoever made it.
  init(in folder: String) async throws {
    self.folder = folder + "/sshd"
    try FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)
    port = try FreePort.take()
    for name in ["key", "host", "other"] { try await make(name) }
  }

  private func make(_ name: String) async throws {
    let made = try await Programs.run(
      "ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder + "/" + name])
    try #require(made.code == 0, "\(made.complaint)")
  }

  /// Runs it, until it is killed.
  ///
  /// - Parameter hostKey: which of its keys it shows.
  func start(hostKey: String = "host") async throws -> LongRunning {
    let settings = """
      ListenAddress 127.0.0.1
      Port \(port)
      HostKey \(folder)/\(hostKey)
      AuthorizedKeysFile \(folder)/key.pub
      PidFile none
      UsePAM no
      StrictModes no
      PermitRootLogin prohibit-password
      AllowTcpForwarding yes
      """
    try settings.write(toFile: folder + "/config", atomically: true, encoding: .utf8)
    // Where no init system has made it, the folder that sshd confines its children to is missing.
    let running = try await LongRunning(
      "/bin/sh", ["-c", "mkdir -p -m 755 /run/sshd; exec /usr/sbin/sshd -D -e -f '\(folder)/config'"])
    // The server of a test before this one may still have the port.
    while !running.log.contains("Server listening") {
      try #require(Foundation.kill(running.id, 0) == 0, "\(running.log)")
      await Task.yield()
    }
    return running
  }

  /// Kills it with the children that serve its connections.
  static func end(_ daemon: LongRunning) async throws {
    let children = ProcessLook.descendants(of: daemon.id)
    try await daemon.end(SIGKILL)
    for child in children { Foundation.kill(child, SIGKILL) }
    try? FileManager.default.removeItem(atPath: daemon.logPath)
  }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
  }
}
