import CZlib

/// Reads gzip streams, as far as a limit.
enum Inflate {
  /// What came out, and whether that was all of it.
  struct Result: Equatable {
    var bytes: [UInt8] = []
    var isWhole = false
  }

  /// Window bits of zlib, with 16 added for a gzip header.
  private static let gzipWindowBits: Int32 = 15 + 16
  private static let chunkBytes = 32_768

  /// - Parameter most: how many bytes to give at most; a stream with more is not whole.
  static func gzip(_ stream: UnsafeRawBufferPointer, most: Int) -> Result {
    var result = Result()
    guard let start = stream.bindMemory(to: UInt8.self).baseAddress else { return result }
    var zlib = z_stream()
    // zlib's header declares its input without const, and never writes there.
    zlib.next_in = UnsafeMutablePointer(mutating: start)
    zlib.avail_in = UInt32(clamping: stream.count)
    guard inflateInit2_(&zlib, gzipWindowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      return result
    }
    defer { inflateEnd(&zlib) }
    var status = Z_OK
    while status == Z_OK, result.bytes.count < most {
      let room = min(chunkBytes, most - result.bytes.count)
      let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        zlib.next_out = buffer.baseAddress
        zlib.avail_out = UInt32(room)
        status = inflate(&zlib, Z_NO_FLUSH)
        count = room - Int(zlib.avail_out)
      }
      result.bytes += chunk
    }
    result.isWhole = status == Z_STREAM_END
    return result
  }
}
