import Basics
import Foundation
import Link

/// The system user of one Instance: `aw-` and the last 12 digits of the Instance's id.
struct InstanceUser: Sendable {
  let name: String

  init(_ instance: InstanceID) { name = "aw-" + instance.text.suffix(12) }

  /// Makes the user when it is missing.
  ///
  /// - Throws: `runtimeUnavailable` when the Connector is not root or the Host lacks `useradd`.
  func make() async throws -> FileOwner {
    if let owner = find() { return owner }
    guard geteuid() == 0 else {
      throw AWError(
        .runtimeUnavailable, "Only root can run each Instance as a user of its own.",
        next: "Run the Connector as root, or start it without that option.")
    }
    try await run(
      "useradd", ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name])
    guard let owner = find() else {
      throw AWError(
        .runtimeFailed, "The user \(name) was made, and yet is not known.",
        next: "Check the Host's user database (nsswitch.conf).")
    }
    return owner
  }

  func remove() async throws {
    guard find() != nil else { return }
    try await run("userdel", [name])
  }

  /// What goes before a command so that it runs as this user and can gain nothing.
  func prefix() async throws -> [String] {
    let owner = try await make()
    guard let setpriv = Tool.find("setpriv", path: nil) else { throw missing("setpriv", "util-linux") }
    return [
      setpriv, "--reuid", String(owner.user), "--regid", String(owner.group), "--clear-groups", "--no-new-privs",
      "--inh-caps=-all", "--bounding-set=-all", "--",
    ]
  }

  private func find() -> FileOwner? {
    var record = passwd()
    var result: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16_384)
    guard getpwnam_r(name, &record, &buffer, buffer.count, &result) == 0, result != nil else { return nil }
    return FileOwner(user: record.pw_uid, group: record.pw_gid)
  }

  private func run(_ tool: String, _ arguments: [String]) async throws {
    guard let path = Tool.find(tool, path: nil) else { throw missing(tool, "passwd") }
    let answer = try await Tool.run(path, arguments, environment: [:], timeMax: RuntimeLimits.toolTimeMax)
    guard answer.code == 0 else {
      throw AWError(
        .runtimeFailed, "The user \(name) cannot be changed: \(tool) ended with exit code \(answer.code).",
        next: "Run it by hand on the Host.", cause: AWError.ToolOutput(text: answer.error))
    }
  }

  private func missing(_ tool: String, _ package: String) -> AWError {
    AWError(
      .runtimeUnavailable, "The program '\(tool)' is missing on this Host.",
      next: "Install the package '\(package)', or start the Connector without a user for each Instance.")
  }
}
