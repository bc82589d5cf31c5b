import Basics
import Foundation

extension AWError {
  /// A file operation that failed, from its errno: a full disk is told apart.
  static func file(_ path: String, _ code: Int32, doing what: String = "written") -> AWError {
    let full = code == ENOSPC || code == EDQUOT
    return AWError(
      full ? .runtimeDiskFull : .runtimeFailed,
      "The file \(path) cannot be \(what): \(String(cString: strerror(code))).",
      next: full
        ? "Free space on that disk of the Host, then try again."
        : "Check on the Host that the Connector's user owns the directory and may write there.")
  }

  /// The errno behind a Foundation file error, as an `AWError` that knows a full disk.
  static func file(_ path: String, _ error: any Error, doing what: String) -> AWError {
    if let error = error as? AWError { return error }
    if let code = posixCode(of: error as NSError) { return .file(path, code, doing: what) }
    return AWError(
      .runtimeFailed, "The file \(path) cannot be \(what).", next: "Look in the Connector's log for the reason.",
      cause: error)
  }

  private static func posixCode(of error: NSError) -> Int32? {
    if error.domain == NSPOSIXErrorDomain { return Int32(error.code) }
    guard let under = error.userInfo[NSUnderlyingErrorKey] as? NSError else { return nil }
    return posixCode(of: under)
  }

  static func notPrepared(_ instance: String) -> AWError {
    AWError(
      .instanceUnknown, "The Instance \(instance) is not prepared on this Host.",
      next: "Provision it first; 'aw instance list' shows where each one lives.")
  }

  static func portTaken(_ port: Int, by holder: String?) -> AWError {
    AWError(
      .runtimePortTaken,
      "The port \(port) is taken on this Host" + (holder.map { " by the Instance '\($0)'." } ?? " by another program."),
      next: "Choose another port, or leave it out and the Connector chooses a free one.")
  }

  static func spec(_ problem: String, next: String) -> AWError { AWError(.usage, problem, next: next) }
}
