import Basics
import Web

/// The board as one HTML file: its styles are in it, its links lead within it, it loads nothing and runs nothing. It
/// holds the record that it was made from, so that whoever has the file can check it.
public struct BoardExport: Codable, Sendable, Equatable {
  public let at: Timestamp
  /// SHA-256 over the record's canonical JSON, `sha256:` and lower-case hexadecimal.
  public let digest: PacketDigest
  public let html: String

  /// - Throws: `internalFailure` when a template is missing.
  init(_ board: ProgrammeBoard, _ library: PageLibrary) throws {
    let page = BoardPage(board, isExport: true)
    (at, digest) = (board.at, page.digest)
    var values = page.values
    values["record"] = .string(try JSONValue(encoding: board).canonical)
    (values["isFirst"], values["span"]) = (false, "")
    values["isAsked"] = .bool(board.since != nil)
    html = try library.document(
      Page("Programme, \(board.at.toTheMinute)", template: "programme/export", values: .object(values)), at: board.at)
  }
}
