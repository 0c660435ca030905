-- ARGV[3]: the settings, or nothing.
if not uid() then
  return false
end
configure(ARGV[3])
return 1
