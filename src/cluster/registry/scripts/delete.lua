local uid = uid()
if uid then
  remove(uid)
end
return uid
