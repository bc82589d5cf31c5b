import Basics
import Web

/// The programme that comes with AW: the six build sequences, and what their phrases mean in other words.
public struct BuiltinProgramme: Sendable {
  public let packets: [Packet]
  public let plain: PlainTexts

  /// Who wrote the packets that come with the program.
  static let author = Author(account: "aw")

  /// Reads the files that are installed beside the program.
  ///
  /// - Throws: `internalFailure` when they are not there, or not what they should be.
  public static func load() throws -> BuiltinProgramme {
    let packets = try read("packets", [Packet].self)
    if let wrong = packets.first(where: { $0.problem != nil }) {
      throw broken("packets", AWError(.programmePacketInvalid, wrong.problem ?? "", next: ""))
    }
    return BuiltinProgramme(packets: packets, plain: PlainTexts(try read("plain", [PlainText].self)))
  }

  /// The entries of a programme that nobody has touched yet, made at the time when the deployment was.
  func entries(at time: Timestamp) -> [ProgrammeEntry] { packets.map { Self.entry($0, at: time) } }

  static func entry(_ packet: Packet, at time: Timestamp) -> ProgrammeEntry {
    // Nothing refers to it by its id, and it is the same each time.
    var random = Countdown(state: UInt64(packet.number))
    return ProgrammeEntry(
      id: ProgrammeEntryID(at: time, random: &random), sequence: packet.sequence, at: time, by: author,
      .packet(packet, reason: nil))
  }

  private struct Countdown: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 { state }
  }

  private static func read<Value: Decodable>(_ name: String, _ type: Value.Type) throws -> Value {
    let texts = try AssetFiles.texts(of: "Programme", in: "Sequences", type: ".json")
    guard let text = texts[name] else { throw broken(name, nil) }
    do {
      return try JSONValue.decode(type, from: text)
    } catch {
      throw broken(name, error)
    }
  }

  private static func broken(_ name: String, _ cause: (any Error)?) -> AWError {
    AWError(
      .internalFailure, "The built-in programme cannot be read: \(name).json is missing or damaged.",
      next: "Install the program again, with the files that belong beside it.", cause: cause)
  }
}
