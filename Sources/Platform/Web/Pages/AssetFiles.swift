import Basics
import Crypto
import Foundation

/// The files of the console that browsers load, and the templates of its pages. Read once, at start.
///
/// An asset's URL holds its hash, so browsers may keep it for ever and still see a new one at once.
public struct AssetFiles: Sendable {
  struct Asset: Sendable {
    let bytes: [UInt8]
    let type: String
    /// The first 16 hexadecimal digits of its SHA-256.
    let hash: String
  }

  let assets: [String: Asset]
  /// By name, without the extension `.mustache`.
  let templates: [String: String]

  /// Reads the folder that is installed beside the program.
  ///
  /// - Parameter folder: another place for it.
  /// - Throws: `internalFailure` when it is not there or not complete.
  public static func load(from folder: String? = nil) throws -> AssetFiles {
    try AssetFiles(folder: try folder ?? installed("Web", "Assets"))
  }

  /// The templates of another room, by name: `room/page`. They are in its folder `Templates`.
  ///
  /// - Parameter room: the name of its module.
  public static func templates(of room: String) throws -> [String: String] {
    let found = try templates(in: try installed(room, "Templates"))
    return Dictionary(uniqueKeysWithValues: found.map { ("\(room.lowercased())/\($0)", $1) })
  }

  /// Texts that another room brings along, by name without the extension.
  ///
  /// - Parameters:
  ///   - room: the name of its module.
  ///   - folder: the folder among its resources.
  ///   - type: the extension, with its dot.
  public static func texts(of room: String, in folder: String, type: String) throws -> [String: String] {
    try texts(in: try installed(room, folder), type: type)
  }

  /// Beside the program, wherever a link to it may be; `Bundle.module` would end the process when it finds nothing.
  private static func installed(_ room: String, _ folder: String) throws -> String {
    let bundle = "aw_\(room).resources"
    let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
    let candidates = [Bundle.main.bundleURL.path, program, program + "/../share/aw"].map { "\($0)/\(bundle)/\(folder)" }
    guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw AWError(
        .internalFailure, "The files of the console are not where the program is.",
        next: "Install the folder \(bundle.quoted) beside the program, as it is in the release archive.")
    }
    return found
  }

  private init(folder: String) throws {
    var assets: [String: Asset] = [:]
    do {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        guard let type = AssetFiles.type(of: name) else { continue }
        let bytes = Array(try Data(contentsOf: URL(filePath: folder + "/" + name)))
        assets[name] = Asset(bytes: bytes, type: type, hash: String(SHA256.hex(bytes).prefix(16)))
      }
    } catch {
      throw AssetFiles.unreadable(folder, error)
    }
    self.assets = assets
    self.templates = try AssetFiles.templates(in: folder + "/templates")
  }

  private static func templates(in folder: String) throws -> [String: String] {
    try texts(in: folder, type: ".mustache")
  }

  private static func texts(in folder: String, type: String) throws -> [String: String] {
    var texts: [String: String] = [:]
    do {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasSuffix(type) {
        texts[String(name.dropLast(type.count))] = try String(
          contentsOf: URL(filePath: folder + "/" + name), encoding: .utf8)
      }
    } catch {
      throw unreadable(folder, error)
    }
    return texts
  }

  private static func unreadable(_ folder: String, _ cause: any Error) -> AWError {
    AWError(
      .internalFailure, "The files of the console in \(folder.quoted) cannot be read.",
      next: "Check that the folder belongs to the user that runs AW, or install it again.", cause: cause)
  }

  private static func type(of name: String) -> String? {
    switch name.split(separator: ".").last {
    case "css": "text/css; charset=utf-8"
    case "js": "text/javascript; charset=utf-8"
    case "svg": "image/svg+xml"
    default: nil
    }
  }

  /// The path of an asset in a URL.
  func path(_ name: String) -> String { "/assets/\(assets[name]?.hash ?? "missing")/\(name)" }
}
