"""Reading what others wrote: pictures, arrays, JSON, names, rows, answers of the Hub; bounded before it costs anything."""
